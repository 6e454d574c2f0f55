"""`agentfleet submit`: one task from the command line, or any number from a JSONL file."""

import contextlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from agentfleet.client import Client, Task
from agentfleet.models import Result, TaskRequest
from agentfleet_cli.connection import tenant_client
from agentfleet_cli.labels import read_labels
from agentfleet_cli.output import (
    Format,
    OutputOption,
    TenantOption,
    WrongCommandLine,
    one_of,
    say_error,
    say_json,
    verb,
)
from agentfleet_cli.submissions import Outcome, read_lines, submit_lines
from agentfleet_cli.views.progress import delay_line, long_wait_line, progress_line
from agentfleet_cli.views.tasks import error_sentence
from agentfleet_core.budget.money import exact_usd
from agentfleet_core.errors import AgentfleetError, DeadlineExceeded, InvalidRequest, Overloaded, Unavailable
from agentfleet_core.planner.wording import count

Type = Annotated[str | None, typer.Argument(metavar="TYPE", help="the TaskType")]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="[key=value…]", help="the input's fields; key:=JSON for what is not text"),
]
Input = Annotated[str | None, typer.Option("--input", help="the input as JSON; - reads it from stdin")]
File = Annotated[
    Path | None,
    typer.Option(
        "--file", help="JSONL: a line is {type, input, pool?, priority?, labels?, tenant?, …}; - is stdin"
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="wait for the end and show the results")]
Timeout = Annotated[float | None, typer.Option(min=0, help="seconds to wait at most")]
Labels = Annotated[list[str] | None, typer.Option("--label", help="key=value, repeatable")]
Key = Annotated[str | None, typer.Option(help="the same key again is the same task")]


class Mode(StrEnum):
    DEFER = "defer"
    REJECT = "reject"


ModeOption = Annotated[
    Mode | None,
    typer.Option(
        parser=one_of(Mode, "mode"),
        metavar="|".join(Mode),
        help="when the budget is spent: wait, or be refused at once",
    ),
]


@verb
def submit(
    task_type: Type = None,
    pairs: Pairs = None,
    input_json: Input = None,
    file: File = None,
    wait: Wait = False,
    timeout: Timeout = None,
    pool: Annotated[str | None, typer.Option(help="another of the type's pools")] = None,
    tier: Annotated[str | None, typer.Option(help="another tier inside the type's bounds")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=100)] = None,
    label: Labels = None,
    idempotency_key: Key = None,
    mode: ModeOption = None,
    tenant: TenantOption = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Submit a task, or many: agentfleet submit refund-request order=A-1001 message="It broke." --wait"""
    if file is not None:
        if task_type is not None or pairs or input_json is not None:
            raise WrongCommandLine(
                "--file says type and input of each task; leave TYPE, key=value and --input out"
            )
        _submit_file(file, tenant, output, wait=wait, timeout=timeout)
        return
    if task_type is None:
        raise WrongCommandLine("say which TaskType, as in: agentfleet submit refund-request order=A-1001")
    request = TaskRequest(
        task_type, _input(pairs or (), input_json), pool, tier, priority, read_labels(label or ()), mode
    )
    request = replace(request, idempotency_key=idempotency_key)
    try:
        _submit_one(request, tenant, output, wait=wait, timeout=timeout)
    except InvalidRequest as error:
        hint = spelling_hint(error.field, pairs or ())
        if hint is None:
            raise
        raise InvalidRequest(f"{error}; {hint}", field=error.field) from error


def _submit_one(
    request: TaskRequest, tenant: str | None, output: Format, *, wait: bool, timeout: float | None
) -> None:
    with tenant_client(tenant) as client:
        [submission] = client.submit_many([request])
        task = submission.unwrap()
        if not wait:
            _say_task(task, output)
            if output is Format.TEXT:
                _say_pause(client, task)
            return
        # Also beside JSON: whoever gives up waiting needs the id.
        print(f"task/{task.id}", file=sys.stderr, flush=True)
        _say_pause(client, task)
        if timeout is None:
            _follow(task, every_step=output is Format.TEXT)
        try:
            result = task.result(timeout, check=False)
        except DeadlineExceeded:
            if (now_is := task.refresh()).reason:
                print(f"  {delay_line(now_is)}", file=sys.stderr)
            _say_pause(client, task)
            raise
    _say_result(result, output)


def _follow(task: Task, *, every_step: bool) -> None:
    """What happens to it, on stderr, until it has ended; else only what holds it up."""
    hinted = False
    for event in task.follow():
        line = progress_line(event) if every_step else None
        if event.type in ("parked", "retry"):
            now_is = task.refresh()
            line = delay_line(now_is)
            hint = None if hinted else long_wait_line(now_is, datetime.now(UTC))
            if hint is not None:
                line, hinted = f"{line}\n  {hint}", True
        if line is not None:
            print(f"  {line}", file=sys.stderr, flush=True)


def _input(pairs: Sequence[str], text: str | None) -> dict[str, Any]:
    """From `--input`, or from key=value (a string) and key:=value (JSON)."""
    if text is not None and pairs:
        raise WrongCommandLine("give the input as --input or as key=value, not both", field="input")
    if text is not None:
        found = _json(sys.stdin.read() if text == "-" else text, "--input")
        if not isinstance(found, dict):
            raise WrongCommandLine("--input must be a JSON object", field="input")
        return found
    return dict(_pair(pair) for pair in pairs)


def _pair(pair: str) -> tuple[str, Any]:
    key, sign, value = pair.partition("=")
    if not sign or not key.rstrip(":"):
        raise WrongCommandLine(f"{pair!r} is not key=value", field="input")
    if key.endswith(":"):
        return key[:-1], _json(value, pair)
    return key, value


def spelling_hint(field: str, pairs: Sequence[str]) -> str | None:
    """`write count:=3`, where the refused field was given as text that is JSON of another kind."""
    for pair in pairs:
        key, _, value = pair.partition("=")
        if field != f"input.{key}":
            continue
        try:
            meant = json.loads(value)
        except ValueError:
            return None
        return None if isinstance(meant, str) else f"write {key}:={value}"
    return None


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise WrongCommandLine(f"{where} is not JSON: {error}", field="input") from error


def _say_task(task: Task, output: Format) -> None:
    if output is Format.JSON:
        say_json(task.said)
    else:
        print(f"task/{task.id} is {task.state} in {task.pool} for {task.tenant}")
        print(f"  agentfleet get task/{task.id}", file=sys.stderr)


def _say_pause(client: Client, task: Task) -> None:
    """On stderr, what is paused that keeps the task from starting."""
    # The task is submitted, whatever becomes of this look.
    with contextlib.suppress(Unavailable, Overloaded):
        paused = client.why(f"task/{task.id}")["paused"]
        if paused:
            print(f"  {paused} is paused; nothing starts until it is resumed", file=sys.stderr, flush=True)


def _say_result(result: Result, output: Format) -> None:
    if output is Format.JSON:
        say_json(result.said)
    else:
        if result.output is not None:
            text = (
                result.output
                if isinstance(result.output, str)
                else json.dumps(result.output, indent=2, ensure_ascii=False)
            )
            print(text)
        for limitation in result.limitations:
            print(f"lacks: {limitation}", file=sys.stderr)
        failed = sum(step.error is not None for step in result.steps)
        steps = count(len(result.steps), "step") + (f" ({failed} failed)" if failed else "")
        print(f"{result.state}, {steps}, {exact_usd(result.cost_nano_usd)}", file=sys.stderr)
    if result.state not in ("succeeded", "partial"):
        say_error(error_sentence(result.error) if result.error else f"the task ended {result.state}")
        raise typer.Exit(1)


def _submit_file(
    path: Path, tenant: str | None, output: Format, *, wait: bool, timeout: float | None
) -> None:
    lines = read_lines(sys.stdin if str(path) == "-" else _open(path))
    outcomes = submit_lines(lines, tenant, wait=wait, timeout_seconds=timeout)
    for outcome in outcomes:
        if output is Format.JSON:
            say_json(_outcome_json(outcome))
        elif outcome.error is not None:
            say_error(f"line {outcome.line.number}: {outcome.error}")
    accepted = [outcome for outcome in outcomes if outcome.task is not None]
    if output is Format.TEXT:
        print(_summary(outcomes, len(accepted)))
    if len(accepted) < len(outcomes):
        raise typer.Exit(3)
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(1)


def _open(path: Path) -> Iterable[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read: {error}", field="file") from error


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "line": outcome.line.number,
        "task": outcome.task.said if outcome.task else None,
        "result": outcome.result.said if outcome.result else None,
        "error": _error_json(outcome.error) if outcome.error else None,
    }


def _error_json(error: AgentfleetError) -> dict[str, str]:
    return {"type": type(error).__name__, "detail": str(error)}


def _summary(outcomes: Sequence[Outcome], accepted: int) -> str:
    states: dict[str, int] = {}
    for outcome in outcomes:
        if outcome.result is not None:
            states[outcome.result.state] = states.get(outcome.result.state, 0) + 1
    parts = [f"{accepted} accepted"]
    if accepted < len(outcomes):
        parts.append(f"{len(outcomes) - accepted} refused")
    parts += [f"{count} {state}" for state, count in sorted(states.items())]
    spent = sum(outcome.result.cost_nano_usd for outcome in outcomes if outcome.result)
    if states:
        parts.append(exact_usd(spent))
    return ", ".join(parts)
