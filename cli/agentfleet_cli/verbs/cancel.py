"""`agentfleet cancel`: end a task as cancelled, queued or running."""

from typing import Annotated

import typer

from agentfleet_cli.connection import task_client
from agentfleet_cli.output import Format, OutputOption, TenantOption, say_json, verb

TaskId = Annotated[str, typer.Argument(metavar="TASK", help="the task's id, with or without task/")]


@verb
def cancel(task: TaskId, tenant: TenantOption = None, output: OutputOption = Format.TEXT) -> None:
    """Cancel a task; what it has cost stays charged."""
    with task_client(tenant) as client:
        ended = client.cancel(task.removeprefix("task/"))
    if output is Format.JSON:
        say_json(ended.said)
    else:
        print(f"task/{ended.id} is {ended.state}")
