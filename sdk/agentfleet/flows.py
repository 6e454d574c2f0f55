"""What both clients do, without doing it: a flow yields calls and pauses, and returns a result.

A client runs a flow by sending the calls and sleeping the pauses, blocking or not. So retries, batches and
waiting are written once, here. Clock and dice belong to the runner.
"""

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from agentfleet import wire
from agentfleet.models import Result, TaskRequest
from agentfleet.wire import Call
from agentfleet_core.errors import AgentfleetError, DeadlineExceeded, TaskFailed, Unavailable
from agentfleet_core.problems import error_of
from agentfleet_core.resilience.retry_after import retry_after_seconds

MAX_DELAY_SECONDS = 15.0
MAX_RETRY_AFTER_SECONDS = 60.0
RETRY_STATUSES = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Pause:
    """Sleep at least `at_least_seconds`; jitter on top is drawn by the runner up to `jitter_seconds`."""

    at_least_seconds: float
    jitter_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and content, or the connection error that came instead. `now` is monotonic seconds."""

    now: float
    status: int = 0
    content: bytes = b""
    retry_after: str | None = None
    error: Exception | None = None


def pause_before(attempt: int, retry_after_seconds: float = 0.0) -> Pause:
    """What the server asked for, or a doubling back-off; jittered either way."""
    backoff = min(MAX_DELAY_SECONDS, 0.1 * 2.0**attempt)
    asked = min(retry_after_seconds, MAX_RETRY_AFTER_SECONDS)
    return Pause(max(asked, backoff / 2), backoff / 2)


def unreachable(error: Exception) -> Unavailable:
    return Unavailable(
        f"the coordinator cannot be reached: {error}; check AGENTFLEET_URL and that the fleet runs"
    )


def exchange(call: Call, retries: int) -> Generator[Call | Pause, Answer, tuple[Any, float]]:
    """One call, retried while that can help; its JSON and the time of its answer."""
    for attempt in range(retries + 1):
        answer = yield call
        last = attempt == retries
        if answer.error is not None:
            if last:
                raise unreachable(answer.error) from answer.error
            yield pause_before(attempt)
        elif answer.status < 400:
            return (json.loads(answer.content) if answer.content else {}), answer.now
        elif last or answer.status not in RETRY_STATUSES:
            raise wire.failure(answer.status, answer.content, answer.retry_after)
        else:
            yield pause_before(attempt, retry_after_seconds(answer.retry_after) or 0.0)
    raise AssertionError("unreachable: the last attempt returns or raises")


def ask(call: Call, retries: int) -> Generator[Call | Pause, Answer, dict[str, Any]]:
    data, _ = yield from exchange(call, retries)
    return data  # type: ignore[no-any-return]  # every answer of the API is an object


def submit_many(
    requests: Sequence[TaskRequest], retries: int
) -> Generator[Call | Pause, Answer, list[dict[str, Any] | AgentfleetError]]:
    """A task's JSON or the error that refused it, per request; requests carry their keys."""
    answers: list[dict[str, Any] | AgentfleetError] = []
    for start in range(0, len(requests), wire.BATCH):
        answers += yield from _batch(requests[start : start + wire.BATCH], retries)
    return answers


def _batch(
    requests: Sequence[TaskRequest], retries: int
) -> Generator[Call | Pause, Answer, list[dict[str, Any] | AgentfleetError]]:
    """Items that the server was too busy for are sent again, alone."""
    answers: dict[int, dict[str, Any] | AgentfleetError] = {}
    unanswered = list(range(len(requests)))
    for attempt in range(retries + 1):
        data = yield from ask(wire.submit_batch([requests[index] for index in unanswered]), retries)
        busy = []
        wait = 0.0
        for index, item in zip(unanswered, data["items"], strict=True):
            problem = item.get("problem")
            answers[index] = item["task"] if problem is None else error_of(problem, status=item["status"])
            if item["status"] in RETRY_STATUSES:
                busy.append(index)
                wait = max(wait, float((problem or {}).get("retry_after_seconds") or 0.0))
        if not busy or attempt == retries:
            break
        unanswered = busy
        yield pause_before(attempt, wait)
    return [answers[index] for index in range(len(requests))]


def result(
    task_id: str, timeout: float | None, check: bool, retries: int
) -> Generator[Call | Pause, Answer, Result]:
    """Asks again until the task has ended or the time is up; the server holds each answer back meanwhile."""
    left = wire.WAIT_SECONDS if timeout is None else min(timeout, wire.WAIT_SECONDS)
    waited = 0.0
    while True:
        began = yield Pause(0.0)
        data, now = yield from exchange(wire.result(task_id, max(0.0, left)), retries)
        found = Result.parse(data)
        if found.ended:
            if check and found.state in ("failed", "dead", "cancelled"):
                raise TaskFailed(task_id, found.state, found.error)
            return found
        waited += now - began.now
        if timeout is not None:
            if waited >= timeout:
                raise DeadlineExceeded(f"wait for task {task_id}", timeout)
            left = min(timeout - waited, wire.WAIT_SECONDS)
