"""PURE. The queue's words to and from what Redis keeps: envelopes, task records, events, counters.

An envelope may grow: its line is `[major, field, …]` with `Envelope`'s fields in their order, so a field that
an older release did not write has its default, and one that a newer release added is ignored. What an older
release cannot even ignore is another major, and `UnknownEnvelope`.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import orjson

from agentfleet_core.errors import InvalidInput, UnknownEnvelope
from agentfleet_core.queue.envelope import (
    Block,
    Envelope,
    Event,
    MissingCode,
    PoolCounters,
    TaskRecord,
    TaskState,
    WorkerRecord,
)
from agentfleet_core.queue.limits import (
    MAX_ERROR_BYTES,
    MAX_INPUT_BYTES,
    MAX_LIMITATIONS,
    REPORT_SECONDS,
    bounded,
)

MAJOR = 1
"""Raised only when an older release must not run what this one writes."""

_NAMES = tuple(each.name for each in fields(Envelope))
_BODY = _NAMES.index("input")
STORED = tuple(name for name in _NAMES if name not in ("id", "input"))
"""The fields of an envelope's line, in their order; a field's place is for ever."""
_values = attrgetter(*STORED)
_END = len(STORED) + 1
_KINDS: list[type] = [int]
_KINDS += [int if each.type is int else str if each.type is str else dict for each in fields(Envelope)
           if each.name in STORED]  # fmt: skip
_LEAST = 1 + sum(name in STORED for name in _NAMES[:_BODY])
"""The major, and the fields that have no default."""

_CONSTANTS = struct.Struct(">4d")


def encode_envelope(envelope: Envelope) -> bytes:
    """One line of JSON, then the input as it came: a claim decodes the line alone."""
    head = orjson.dumps((MAJOR, *_values(envelope)), default=_as_dict)
    return head + b"\n" + bounded("input", envelope.input, MAX_INPUT_BYTES)


def _as_dict(labels: Mapping[str, str]) -> dict[str, str]:
    return dict(labels)


def decode_envelope(task_id: str, kept: bytes) -> Envelope:
    """Raises `UnknownEnvelope` for another major, `InvalidInput` for what is no envelope."""
    line, _, body = kept.partition(b"\n")
    try:
        head = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the record of task {task_id} is not JSON: {error}", field="envelope") from error
    if type(head) is not list or head[:1] != [MAJOR] or list(map(type, head)) != _KINDS:
        head = _of_another_release(task_id, head)
    head[0] = task_id  # where the major stood
    head.insert(_BODY, body)
    return Envelope(*head)


def _of_another_release(task_id: str, head: Any) -> list[Any]:
    """The line as this release knows it: what is too much cut off, what is missing left to the defaults."""
    if type(head) is not list or not head or type(head[0]) is not int:
        raise InvalidInput(f"the record of task {task_id} is no envelope", field="envelope")
    if head[0] != MAJOR:
        raise UnknownEnvelope(
            f"task {task_id} was written as envelope {head[0]}, this release reads {MAJOR}", field="envelope"
        )
    known = head[:_END]
    if len(known) < _LEAST or list(map(type, known)) != _KINDS[: len(known)]:
        raise InvalidInput(
            f"the record of task {task_id} is no envelope: its fields are not {', '.join(STORED)}",
            field="envelope",
        )
    return known


def decode_journal(fields: Sequence[bytes]) -> dict[str, bytes]:
    return dict(zip(map(bytes.decode, fields[::2]), fields[1::2], strict=True))


def admitted_at(constants: bytes) -> int:
    """Milliseconds, of the constants that submit.lua packs."""
    return int(_CONSTANTS.unpack_from(constants)[0])


def decode_task(task_id: str, fields: Sequence[Any] | None) -> TaskRecord | None:
    """The fields that read.lua names, in its order."""
    if not fields:
        return None
    constants, state, kept, attempt, failures, started, ended, not_before, *rest = fields
    reason, output, error, errors, limitations, cost, worker, deleted, claimed = rest
    return TaskRecord(
        envelope=_readable(task_id, kept, constants),
        state=TaskState(state.decode()),
        attempt=int(attempt or 0),
        failures=int(failures or 0),
        admitted_ms=admitted_at(constants),
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


def _readable(task_id: str, kept: bytes, constants: bytes) -> Envelope:
    """What cannot be read can still be seen, cancelled and erased: the queue's own facts say whose it is."""
    try:
        return decode_envelope(task_id, kept)
    except InvalidInput:
        texts = constants[_CONSTANTS.size :].split(b"\0")
        tenant, kind, revision, priority = (text.decode(errors="replace") for text in texts[:4])
        return Envelope(task_id, tenant, kind, int(priority), revision, "", "", b"")


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
    *states, blocked_tasks, counted, blocked, missing = reply
    waiting, blocked_total, running, parked, due, orphaned, oldest, next_due, now = map(int, states)
    totals = dict(zip(counted[::2], counted[1::2], strict=True))
    tenants = [tenant.decode() for tenant in blocked[::4]]
    return PoolCounters(
        waiting=waiting,
        blocked=blocked_total,
        running=running,
        parked=parked,
        due=due,
        orphaned=orphaned,
        oldest_waiting_ms=oldest,
        next_due_ms=next_due,
        admitted_total=int(totals.get(b"admitted", 0)),
        started_total=int(totals.get(b"started", 0)),
        ended_total=int(totals.get(b"ended", 0)),
        busy_ms_total=int(totals.get(b"busy_ms", 0)),
        wait_ms_total=int(totals.get(b"wait_ms", 0)),
        spent_total=int(totals.get(b"spent", 0)),
        now_ms=now,
        blocked_tasks=int(blocked_tasks),
        blocked_tenants=dict(zip(tenants, map(int, blocked[1::4]), strict=True)),
        blocks={
            tenant: Block(limit.decode(), int(until_ms))
            for tenant, until_ms, limit in zip(tenants, blocked[2::4], blocked[3::4], strict=True)
        },
        unsettled_ends=dict(_unsettled_ends(totals)),
        missing_code=tuple(_missing_code(missing, now)),
    )


def _unsettled_ends(totals: Mapping[bytes, bytes]) -> Iterator[tuple[tuple[str, str], int]]:
    """Of the totals, those named `end:<state>:<task type>`."""
    for name, counted in totals.items():
        word, _, rest = name.decode().partition(":")
        if word == "end":
            state, _, task_type = rest.partition(":")
            yield (state, task_type), int(counted)


def _missing_code(fields: Sequence[bytes], now_ms: int) -> Iterator[MissingCode]:
    """As report.lua keeps it; the newest report keeps the others' key too, so an old one is left out here."""
    for name, kept in sorted(zip(fields[::2], fields[1::2], strict=True)):
        revision, _, path = name.decode().partition(" ")
        seen_ms, _, why = kept.decode(errors="replace").partition(" ")
        if now_ms - int(seen_ms) < REPORT_SECONDS * 1000:
            yield MissingCode(revision, path, why)


def decode_workers(reply: Sequence[Any]) -> list[WorkerRecord]:
    """As workers.lua returns it, by name."""
    records = []
    for name, seen, held, draining in zip(reply[::4], reply[1::4], reply[2::4], reply[3::4], strict=True):
        seen_ms, _, revision = seen.decode().partition(" ")
        records.append(WorkerRecord(name.decode(), revision, int(held), bool(draining), int(seen_ms)))
    return sorted(records, key=lambda record: record.id)
