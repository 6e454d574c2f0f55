"""`agentfleet get`: tasks, one task, pools, budgets, tiers."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from agentfleet.client import Client, Task
from agentfleet_cli.connection import admin_client, task_client, tenant_client
from agentfleet_cli.labels import read_labels
from agentfleet_cli.output import (
    Format,
    OutputOption,
    TenantOption,
    WrongCommandLine,
    one_of,
    say_json,
    say_lines,
    table,
    terminal_width,
    verb,
)
from agentfleet_cli.targets import as_target
from agentfleet_cli.views.fleet import phase, pool_lines, tier_lines
from agentfleet_cli.views.tasks import task_lines, task_table
from agentfleet_cli.views.words import dollars, limit_amount
from agentfleet_core.queue.envelope import TaskState

THINGS = ("tasks", "pools", "budgets", "tiers")
Thing = Annotated[str, typer.Argument(metavar="tasks|task/ID|pools|budgets|tiers", help="what to show")]
State = Annotated[
    TaskState | None,
    typer.Option(
        parser=one_of(TaskState, "state"),
        metavar="STATE",
        help=f"only tasks in this state: {', '.join(TaskState)}",
    ),
]
Type = Annotated[str | None, typer.Option("--type", help="only tasks of this type")]
Pool = Annotated[str | None, typer.Option(help="only tasks of this pool")]
Label = Annotated[list[str] | None, typer.Option(help="only tasks with this label, key=value; repeatable")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="tasks at most, newest first")]


@verb
def get(
    thing: Thing,
    tenant: TenantOption = None,
    state: State = None,
    task_type: Type = None,
    pool: Pool = None,
    label: Label = None,
    limit: Limit = 20,
    output: OutputOption = Format.TEXT,
) -> None:
    """Show tasks, one task with its result, pools, budgets or tiers."""
    thing = as_target(thing)
    if thing.startswith("task/"):
        with task_client(tenant) as client:
            _task(client, thing.removeprefix("task/"), output)
    elif thing == "tasks":
        with tenant_client(tenant) as client:
            _tasks(client, limit, output, state=state, type=task_type, pool=pool, labels=read_labels(label))
    elif thing in THINGS:
        with admin_client() as client:
            _part(client.fleet(), thing, output)
    elif thing.startswith(("pool/", "pools/")):
        name = thing.partition("/")[2]
        raise WrongCommandLine(
            f"a pool has no page of its own; see `agentfleet why pool/{name}` or `get pools`", field="thing"
        )
    else:
        raise WrongCommandLine(
            f"{thing!r} cannot be shown; there are {', '.join(THINGS)} and task/ID", field="thing"
        )


def _task(client: Client, task_id: str, output: Format) -> None:
    task = client.get(task_id)
    result = client.result(task_id, 0, check=False) if task.ended else None
    if output is Format.JSON:
        say_json({**task.said, "result": result.said if result else None})
        return
    for line in task_lines(task, result):
        print(line)
    if result is not None and result.output is not None:
        print("output")
        print(
            result.output
            if isinstance(result.output, str)
            else json.dumps(result.output, indent=2, ensure_ascii=False)
        )


def _tasks(client: Client, limit: int, output: Format, **filters: Any) -> None:
    items: list[Task] = []
    cursor: str | None = None
    while len(items) < limit:
        page = client.list(limit=min(100, limit - len(items)), cursor=cursor, **filters)
        items += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    if output is Format.JSON:
        say_json({"items": [item.said for item in items], "next_cursor": cursor})
        return
    say_lines(task_table(items, datetime.now(UTC), terminal_width()))
    if not items:
        print("no task matches")


def _part(fleet: Mapping[str, Any], thing: str, output: Format) -> None:
    part = fleet[{"budgets": "tenants"}.get(thing, thing)]
    if output is Format.JSON:
        say_json(part)
    elif thing == "pools":
        say_lines(pool_lines(part))
    elif thing == "budgets":
        _say_budgets(part)
    else:
        say_lines(tier_lines(part))


def _say_budgets(tenants: Sequence[Mapping[str, Any]]) -> None:
    """A row per limit: any of them may be the one that holds a tenant back."""
    rows: list[tuple[str, ...]] = []
    for tenant in tenants:
        if not tenant["limits"]:
            rows.append((tenant["tenant"], "-", "-", "-", "none", "-", phase(tenant)))
        rows.extend(_budget_row(tenant, limit) for limit in tenant["limits"])
    header = ("TENANT", "LIMIT", "SPENT", "HELD", "AMOUNT", "RESETS", "PHASE")
    say_lines(table(header, rows, width=terminal_width()))


def _budget_row(tenant: Mapping[str, Any], limit: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        tenant["tenant"],
        limit["name"],
        dollars(limit["spent_nano_usd"]),
        dollars(limit["held_nano_usd"]),
        limit_amount(limit),
        limit["resets"],
        phase(tenant),
    )
