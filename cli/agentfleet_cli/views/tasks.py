"""PURE. Tasks and results as tables, details and JSON."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from agentfleet.models import Result, Step, TaskInfo
from agentfleet_cli.output import table, wrapped
from agentfleet_cli.views.words import dollars, duration, shortened
from agentfleet_core.budget.money import exact_usd, nano_usd
from agentfleet_core.providers.registry import usage_in_words

NARROWEST_TYPE = 8
BESIDE_THE_TYPE = len("  succeeded  $0.0000  100m") + 2
"""What a row needs for its other columns."""


def usd(amount: Decimal) -> str:
    return f"{amount:f}"


def task_table(tasks: Sequence[TaskInfo], now: datetime, width: int | None = None) -> list[str]:
    """`width` None: whole rows, for programs. Else a long type is shortened, and a reason that has no room
    stands under its task: the id stays whole, to be copied.
    """
    header = ("ID", "TYPE", "STATE", "COST", "AGE", "REASON")
    room = (
        None if width is None else width - BESIDE_THE_TYPE - max((len(task.id) for task in tasks), default=0)
    )
    rows = [
        (
            task.id,
            task.type if room is None else shortened(task.type, max(NARROWEST_TYPE, room)),
            task.state,
            dollars(task.cost_nano_usd, digits=4),
            duration(max(0.0, (now - task.submitted_at).total_seconds())),
            task.reason or "-",
        )
        for task in tasks
    ]
    return table(header, rows, width=width)


def task_lines(task: TaskInfo, result: Result | None) -> list[str]:
    """Everything about one task; its result when it has ended."""
    lines = [
        f"task      {task.id}",
        f"type      {task.type} of {task.tenant}, in pool {task.pool}, tier {task.tier}",
        f"state     {task.state}" + (f": {task.reason}" if task.reason else ""),
        f"attempts  {task.attempt}, {task.failures} failed",
        f"times     {_times(task)}",
        f"cost      {exact_usd(task.cost_nano_usd)}",
    ]
    lines += [f"lacks     {limitation}" for limitation in task.limitations]
    if task.error:
        lines.append(f"error     {error_sentence(task.error)}")
    if result is not None and result.steps:
        lines.append("steps")
        for step in result.steps:
            lines += _step_lines(step)
    return lines


def _step_lines(step: Step) -> list[str]:
    """What it cost, who answered, and the tokens that were charged; or how a tool failed."""
    cost = exact_usd(nano_usd(usd(step.cost)))
    told = ", ".join(part for part in (step.tier, step.model, usage_in_words(step.usage)) if part)
    start = f"  {step.name:<16} {step.kind:<4} "
    if step.error:
        return wrapped(start, f"failed: {step.error}")
    return wrapped(f"{start}{cost}  ", told) if told else [f"{start}{cost}"]


def error_sentence(error: Mapping[str, Any]) -> str:
    return str(error.get("detail") or error.get("title") or error)


def _times(task: TaskInfo) -> str:
    parts = [f"submitted {task.submitted_at:%Y-%m-%d %H:%M:%S}"]
    if task.started_at:
        parts.append(f"started after {duration((task.started_at - task.submitted_at).total_seconds())}")
    if task.ended_at and task.started_at:
        parts.append(f"ended after {duration((task.ended_at - task.started_at).total_seconds())} more")
    if task.not_before and not task.ended:
        parts.append(f"not before {task.not_before:%Y-%m-%d %H:%M:%S}")
    return ", ".join(parts)
