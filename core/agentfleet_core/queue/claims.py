"""PURE. A claim's reply, each task of it decoded alone: one bad record costs its own task, never the batch.

What a later release wrote is parked, so that a worker of that release can take it; what is no envelope at all
ends failed. Nothing here raises for what a record holds.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from agentfleet_core.errors import InvalidInput, UnknownEnvelope
from agentfleet_core.problems import problem_of
from agentfleet_core.queue.envelope import Claim, SettleKind, Settlement, TaskState
from agentfleet_core.queue.reasons import TaskReason
from agentfleet_core.queue.records import admitted_at, decode_envelope, decode_journal

UNKNOWN_PARK_MS = 30_000


def decode_claims(pool: str, reply: Sequence[Any]) -> tuple[list[Claim], list[Settlement]]:
    """`{now, next check, tasks}` as claim.lua returns it: what can run, and how to settle what cannot."""
    now_ms, items = reply[0], reply[2]
    claims: list[Claim] = []
    refusals: list[Settlement] = []
    each = iter(items)
    for ulid, constants, kept, history in zip(each, each, each, each, strict=True):
        task_id = f"{pool}.{ulid.decode()}"
        attempt, failures, started_ms, parked_ms = 1, 0, now_ms, 0
        journal: dict[str, bytes] = {}
        if history:
            attempt, failures, started_ms, parked_ms = map(int, history[0].split())
            journal = decode_journal(history[1:])
        try:
            envelope = decode_envelope(task_id, kept)
        except InvalidInput as error:
            refusals.append(refusal(task_id, attempt, error, now_ms))
            continue
        admitted_ms = admitted_at(constants)
        claims.append(Claim(envelope, attempt, failures, admitted_ms, started_ms, parked_ms, now_ms, journal))
    return claims, refusals


def refusal(task_id: str, attempt: int, error: InvalidInput, now_ms: int) -> Settlement:
    """How a claimed task is settled that cannot be read."""
    if isinstance(error, UnknownEnvelope):
        return Settlement(
            task_id,
            attempt,
            SettleKind.PARK,
            reason=f"{TaskReason.ENVELOPE_UNKNOWN}: {error}",
            not_before_ms=now_ms + UNKNOWN_PARK_MS,
        )
    problem = problem_of(error) | {"reason": TaskReason.ENVELOPE_UNREADABLE.value}
    return Settlement(
        task_id,
        attempt,
        SettleKind.END,
        TaskState.FAILED,
        error=orjson.dumps(problem),
        reason=TaskReason.ENVELOPE_UNREADABLE,
    )
