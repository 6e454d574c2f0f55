"""Many tasks from a JSONL file: read with line numbers, submitted in batches, awaited together."""

import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from agentfleet.async_client import AsyncClient, AsyncTask
from agentfleet.models import Result, TaskRequest
from agentfleet_cli.connection import tenant_target
from agentfleet_core.errors import AgentfleetError, DeadlineExceeded, InvalidRequest

BATCH = 1_000
WAITING_AT_ONCE = 64
FIELDS = frozenset(field.name for field in fields(TaskRequest))


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    request: TaskRequest
    tenant: str | None


@dataclass(slots=True)
class Outcome:
    """What became of one line; `result` only when it was waited for."""

    line: Line
    task: AsyncTask | None = None
    error: AgentfleetError | None = None
    result: Result | None = None

    @property
    def failed(self) -> bool:
        return self.result is not None and self.result.state not in ("succeeded", "partial")


def read_lines(source: Iterable[str]) -> list[Line]:
    """Blank lines are skipped. Raises `InvalidRequest` that names the first bad line and what to change."""
    found = [_line(number, text) for number, text in enumerate(source, 1) if text.strip()]
    if not found:
        raise InvalidRequest('the file holds no task; a line is {"type": …, "input": {…}}', field="file")
    return found


def _line(number: int, text: str) -> Line:
    try:
        raw: Any = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"line {number} is not JSON: {error}", field="file") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
        raise InvalidRequest(f"line {number} is not an object with a type", field="file")
    tenant = raw.pop("tenant", None)
    unknown = sorted(set(raw) - FIELDS)
    if unknown:
        known = ", ".join(sorted(FIELDS | {"tenant"}))
        raise InvalidRequest(f"line {number}: a task has no {unknown[0]}; it has {known}", field="file")
    return Line(number, TaskRequest(**raw), tenant)


def submit_lines(
    lines: Sequence[Line], tenant: str | None, *, wait: bool, timeout_seconds: float | None
) -> list[Outcome]:
    """An outcome per line, in their order; a progress bar on stderr where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        return asyncio.run(_submit(lines, tenant, progress, wait=wait, timeout_seconds=timeout_seconds))


async def _submit(
    lines: Sequence[Line],
    tenant: str | None,
    progress: Progress,
    *,
    wait: bool,
    timeout_seconds: float | None,
) -> list[Outcome]:
    outcomes = [Outcome(line) for line in lines]
    by_tenant = sorted(outcomes, key=lambda outcome: outcome.line.tenant or tenant or "")
    sent = progress.add_task("submitted", total=len(outcomes))
    ended = progress.add_task("ended", total=len(outcomes), visible=wait)
    for name, group in groupby(by_tenant, key=lambda outcome: outcome.line.tenant or tenant):
        mine = list(group)
        async with AsyncClient(**tenant_target(name)) as client:
            for start in range(0, len(mine), BATCH):
                part = mine[start : start + BATCH]
                answers = await client.submit_many([outcome.line.request for outcome in part])
                for outcome, answer in zip(part, answers, strict=True):
                    outcome.task, outcome.error = answer.task, answer.error
                progress.advance(sent, len(part))
            if wait:
                await _await_ends(client, mine, progress, ended, timeout_seconds)
    return outcomes


async def _await_ends(
    client: AsyncClient,
    outcomes: Sequence[Outcome],
    progress: Progress,
    bar: TaskID,
    timeout_seconds: float | None,
) -> None:
    slots = asyncio.Semaphore(WAITING_AT_ONCE)

    async def one(outcome: Outcome) -> None:
        if outcome.task is None:
            return
        async with slots:
            outcome.result = await client.result(outcome.task.id, check=False)
            progress.advance(bar)

    try:
        async with asyncio.timeout(timeout_seconds):
            await asyncio.gather(*(one(outcome) for outcome in outcomes))
    except TimeoutError as error:
        left = sum(outcome.task is not None and outcome.result is None for outcome in outcomes)
        raise DeadlineExceeded(f"wait, with {left} tasks still under way,", timeout_seconds or 0.0) from error
