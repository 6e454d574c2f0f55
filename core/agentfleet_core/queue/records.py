"""PURE. The queue's words to and from what Redis keeps: envelopes, task records, claims, events, counters.

The size limits stand here, because what is written here is what has a size.
"""

import struct
from collections.abc import Sequence
from typing import Any

import orjson

from agentfleet_core.errors import InvalidInput
from agentfleet_core.queue.envelope import (
    Claim,
    Envelope,
    Event,
    PoolCounters,
    TaskRecord,
    TaskState,
    WorkerRecord,
)

MAX_INPUT_BYTES = 1 << 20
MAX_OUTPUT_BYTES = 4 << 20
MAX_STEP_BYTES = 4 << 20
"""One journal entry's value."""
MAX_EVENT_BYTES = 64 << 10
MAX_ERROR_BYTES = 16 << 10
MAX_LIMITATIONS = 100

_CONSTANTS = struct.Struct(">4d")


def bounded(what: str, value: bytes, most: int) -> bytes:
    """The value, or `InvalidInput` that says how much too large it is."""
    if len(value) > most:
        raise InvalidInput(f"the {what} has {len(value):,} bytes; at most {most:,} are kept", field=what)
    return value


def encode_envelope(envelope: Envelope) -> bytes:
    """One line of JSON, then the input as it came: a claim decodes the line alone."""
    head = [
        envelope.version,
        envelope.tenant,
        envelope.type,
        envelope.priority,
        envelope.revision,
        envelope.tier,
        envelope.tier_reason,
        dict(envelope.labels),
        envelope.expires_after_seconds,
        envelope.expected_cost,
        envelope.max_attempts,
        envelope.not_before_ms,
    ]
    return orjson.dumps(head) + b"\n" + bounded("input", envelope.input, MAX_INPUT_BYTES)


def decode_envelope(task_id: str, kept: bytes) -> Envelope:
    line, _, body = kept.partition(b"\n")
    head = orjson.loads(line)
    version, tenant, kind, priority, revision, tier, tier_reason, *rest = head
    labels, expires, cost, attempts, not_before = rest
    return Envelope(
        task_id,
        tenant,
        kind,
        priority,
        revision,
        tier,
        tier_reason,
        body,
        labels,
        expires,
        cost,
        attempts,
        not_before,
        version,
    )


def decode_claims(pool: str, reply: Sequence[Any]) -> list[Claim]:
    """`{now, next check, tasks}` as claim.lua returns it."""
    now_ms, items = reply[0], reply[2]
    claims = []
    for start in range(0, len(items), 3):
        numbers, kept, journal = items[start : start + 3]
        ulid, attempt, failures, admitted, started, parked = numbers.split()
        claims.append(
            Claim(
                decode_envelope(f"{pool}.{ulid.decode()}", kept),
                int(attempt),
                int(failures),
                int(admitted),
                int(started),
                int(parked),
                now_ms,
                decode_journal(journal) if journal else {},
            )
        )
    return claims


def decode_journal(fields: Sequence[bytes]) -> dict[str, bytes]:
    return dict(zip(map(bytes.decode, fields[::2]), fields[1::2], strict=True))


def decode_task(task_id: str, fields: Sequence[Any] | None) -> TaskRecord | None:
    """The fields that read.lua names, in its order."""
    if not fields:
        return None
    constants, state, kept, attempt, failures, started, ended, not_before, *rest = fields
    reason, output, error, errors, limitations, cost, worker, deleted, claimed = rest
    admitted_ms = int(_CONSTANTS.unpack_from(constants)[0])
    return TaskRecord(
        envelope=decode_envelope(task_id, kept),
        state=TaskState(state.decode()),
        attempt=int(attempt or 0),
        failures=int(failures or 0),
        admitted_ms=admitted_ms,
        started_ms=int(started or claimed or 0),
        ended_ms=int(ended or 0),
        not_before_ms=int(not_before or 0) if state == b"parked" else 0,
        reason=(reason or b"").decode(),
        output=output or b"",
        error=error or b"",
        errors=tuple(errors.split(b"\n")) if errors else (),
        limitations=tuple(orjson.loads(limitations)) if limitations else (),
        cost=int(cost or 0),
        worker=(worker or b"").decode() if state == b"running" else "",
        deleted=bool(deleted),
    )


def one_line(problem: bytes) -> bytes:
    """A problem as one line of bounded JSON, so that errors can be kept one a line."""
    if len(problem) <= MAX_ERROR_BYTES and b"\n" not in problem:
        return problem
    try:
        read = orjson.loads(problem)
    except orjson.JSONDecodeError:
        read = {"detail": problem.decode(errors="replace")}
    if isinstance(read, dict) and len(problem) > MAX_ERROR_BYTES:
        read = {name: _shortened(value) for name, value in read.items() if name in _PROBLEM_FIELDS}
    return orjson.dumps(read)


_PROBLEM_FIELDS = frozenset({"type", "title", "status", "detail"})


def _shortened(value: Any) -> Any:
    most = MAX_ERROR_BYTES // 8
    return value[:most] + "…" if isinstance(value, str) and len(value) > most else value


def encode_limitations(limitations: Sequence[str]) -> bytes:
    return orjson.dumps(list(limitations[:MAX_LIMITATIONS])) if limitations else b""


def decode_event(task_id: str, number: int, kept: bytes) -> Event:
    """`attempt type data`; numbers of one task's events grow by one."""
    attempt, kind, data = kept.split(b" ", 2)
    return Event(task_id, int(attempt), kind.decode(), data, str(number))


def decode_counters(reply: Sequence[Any]) -> PoolCounters:
    """As counters.lua returns it."""
    *states, totals, blocked = reply
    waiting, blocked_total, running, parked, due, orphaned, oldest, next_due, now = map(int, states)
    admitted, started, ended, busy, wait, spent = (int(total or 0) for total in totals)
    return PoolCounters(
        waiting=waiting,
        blocked=blocked_total,
        running=running,
        parked=parked,
        due=due,
        orphaned=orphaned,
        oldest_waiting_ms=oldest,
        next_due_ms=next_due,
        admitted_total=admitted,
        started_total=started,
        ended_total=ended,
        busy_ms_total=busy,
        wait_ms_total=wait,
        spent_total=spent,
        now_ms=now,
        blocked_tenants={
            tenant.decode(): int(count) for tenant, count in zip(blocked[::2], blocked[1::2], strict=True)
        },
    )


def decode_workers(reply: Sequence[Any]) -> list[WorkerRecord]:
    """As workers.lua returns it, by name."""
    records = []
    for name, seen, held, draining in zip(reply[::4], reply[1::4], reply[2::4], reply[3::4], strict=True):
        seen_ms, _, revision = seen.decode().partition(" ")
        records.append(WorkerRecord(name.decode(), revision, int(held), bool(draining), int(seen_ms)))
    return sorted(records, key=lambda record: record.id)
