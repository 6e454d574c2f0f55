"""`agentfleet pause` and `resume`: for the night when something is wrong and nobody knows what yet."""

from typing import Annotated

import typer

from agentfleet_cli.connection import admin_client
from agentfleet_cli.output import Format, OutputOption, say_json, verb

Target = Annotated[
    str, typer.Argument(metavar="fleet|pool/NAME|tenant/NAME|task-type/NAME", help="what to pause or resume")
]


@verb
def pause(target: Target, output: OutputOption = Format.TEXT) -> None:
    """Stop new paid calls of the fleet, a pool, a tenant or a task type, within a second."""
    with admin_client() as client:
        answer = client.pause(target)
    if output is Format.JSON:
        say_json(answer)
    else:
        print(f"{target} is paused: no new paid call starts; `agentfleet resume {target}` undoes it")


@verb
def resume(target: Target, output: OutputOption = Format.TEXT) -> None:
    """Undo a pause."""
    with admin_client() as client:
        answer = client.resume(target)
    if output is Format.JSON:
        say_json(answer)
    else:
        print(f"{target} is resumed")
