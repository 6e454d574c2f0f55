"""`agentfleet why`: the chain of rules behind a pool's size, or where a task is and why."""

from typing import Annotated

import typer

from agentfleet_cli.connection import admin_client, task_client
from agentfleet_cli.output import Format, OutputOption, TenantOption, WrongCommandLine, say_json, verb
from agentfleet_cli.targets import as_target

Target = Annotated[str, typer.Argument(metavar="pool/NAME|task/ID", help="what to explain")]


@verb
def why(target: Target, tenant: TenantOption = None, output: OutputOption = Format.TEXT) -> None:
    """Say why a pool has its size (> marks the rule that decided), or why a task is where it is.

    docs/reasons.md explains every word.
    """
    target = as_target(target)
    kind, slash, _ = target.partition("/")
    if not slash:
        raise WrongCommandLine(
            f"{target!r} names nothing; write pool/NAME or task/ID, such as pool/{target}", field="target"
        )
    if kind not in ("pool", "task"):
        raise WrongCommandLine(f"{target!r} names nothing; write pool/NAME or task/ID", field="target")
    with admin_client() if target.startswith("pool/") else task_client(tenant) as client:
        answer = client.why(target)
    if output is Format.JSON:
        told_as_fields = "notes" in answer or "facts" in answer
        say_json({name: value for name, value in answer.items() if name != "text" or not told_as_fields})
    else:
        print(answer["text"])
