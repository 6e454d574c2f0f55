"""`agentfleet pause` and `resume`: for the night when something is wrong and nobody knows what yet."""

from typing import Annotated

import typer

from agentfleet_cli.connection import admin_client
from agentfleet_cli.output import Format, OutputOption, say_json, verb

Target = Annotated[
    str, typer.Argument(metavar="fleet|pool/NAME|tenant/NAME|task-type/NAME", help="what to pause or resume")
]


AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="also what does not exist yet")]


@verb
def pause(target: Target, allow_missing: AllowMissing = False, output: OutputOption = Format.TEXT) -> None:
    """Stop new paid calls of the fleet, a pool, a tenant or a task type, within a second."""
    with admin_client() as client:
        answer = client.pause(target, allow_missing=allow_missing)
    if output is Format.JSON:
        say_json(answer)
    else:
        already = "" if answer["changed"] else " already"
        print(f"{target} is paused{already}: no new paid call starts; `agentfleet resume {target}` undoes it")


@verb
def resume(target: Target, output: OutputOption = Format.TEXT) -> None:
    """Undo a pause."""
    with admin_client() as client:
        answer = client.resume(target)
    if output is Format.JSON:
        say_json(answer)
    else:
        did = f"{target} is resumed" if answer["changed"] else f"{target} was not paused by hand"
        print(f"{did}, but stays paused: {answer['also_paused']}" if answer["also_paused"] else did)
