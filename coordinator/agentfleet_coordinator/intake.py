"""Many submits, few round trips: a group commit, as a database does it for its log.

While one round trip is under way, submits gather; the next takes them all. Each submission is noted in its
tenant's slot, then enqueued in its pool's; the notes of one round and the enqueues of the round before
travel together, so a busy coordinator makes one trip per group, and an idle one two per task. Enqueueing
waits for the note's answer, because a repeated key must be enqueued by the id that it named first.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from agentfleet_coordinator.idempotency import Note, conflict, record_call, recorded
from agentfleet_coordinator.queues import Queues
from agentfleet_core.errors import AgentfleetError, Unavailable
from agentfleet_core.keyspace.connect import reaching_redis
from agentfleet_core.keyspace.keys import TenantKeys
from agentfleet_core.keyspace.scripts import Call, run_each
from agentfleet_core.queue.envelope import Envelope
from agentfleet_core.settings import FleetId

GROUP = 1_000
"""Submissions in one round trip at most."""
SCRIPT = 200
"""Submissions in one script at most, so that none holds Redis for long."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """What became of a submission."""

    envelope: Envelope
    """With the id that the task really has."""
    admitted_ms: int
    """0: the same submission had come before."""

    @property
    def fresh(self) -> bool:
        return self.admitted_ms > 0


class Intake:
    def __init__(self, redis: Redis, fleet: FleetId, queues: Queues) -> None:
        self._redis = redis
        self._fleet = fleet
        self._queues = queues
        self._new: deque[_Pending] = deque()
        self._noted: list[_Pending] = []
        self._runner: asyncio.Task[None] | None = None

    def submit(self, envelope: Envelope, note: Note) -> "asyncio.Future[Admitted]":
        """Resolves when the task is in the queue. Fails with `Conflict`, or `Unavailable` without Redis."""
        done: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
        self._new.append(_Pending(envelope, note, done))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="intake")
        return done

    async def close(self) -> None:
        """Waits for what was accepted already."""
        if self._runner is not None:
            await asyncio.shield(self._runner)

    async def _run(self) -> None:
        round_ = _Round()
        try:
            while self._new or self._noted:
                round_ = self._next_round()
                calls = self._calls(round_)
                try:
                    self._take_in(round_, await run_each(self._redis, calls))
                except AgentfleetError as error:
                    round_.fail(error)
        finally:
            self._runner = None
            # After an end that nobody foresaw; otherwise all of these have their answers.
            round_.enqueues += [self._noted, list(self._new)]
            self._new, self._noted = deque(), []
            round_.fail(Unavailable("the coordinator stopped taking tasks in; send it again"))

    def _next_round(self) -> "_Round":
        noted, self._noted = self._noted, []
        new = [self._new.popleft() for _ in range(min(GROUP, len(self._new)))]
        return _Round(
            enqueues=_groups(noted, lambda each: each.envelope.pool),
            notes=_groups(new, lambda each: each.envelope.tenant),
        )

    def _calls(self, round_: "_Round") -> list[Call]:
        calls = [
            self._queues.pool(group[0].envelope.pool).calls.submit([each.envelope for each in group])
            for group in round_.enqueues
        ]
        calls += [
            record_call(TenantKeys(self._fleet, group[0].envelope.tenant), [each.note for each in group])
            for group in round_.notes
        ]
        return calls

    def _take_in(self, round_: "_Round", replies: Sequence[Any]) -> None:
        enqueued = len(round_.enqueues)
        for group, reply in zip(round_.enqueues, replies[:enqueued], strict=True):
            if _failed(group, reply):
                continue
            for each, admitted_ms in zip(group, reply, strict=True):
                each.end(Admitted(each.envelope, admitted_ms))
        for group, reply in zip(round_.notes, replies[enqueued:], strict=True):
            if _failed(group, reply):
                continue
            for each, noted in zip(group, recorded([each.note for each in group], reply), strict=True):
                if noted.conflict:
                    each.fail(conflict(noted))
                    continue
                if noted.task_id != each.envelope.id:
                    each.envelope = replace(each.envelope, id=noted.task_id)
                self._noted.append(each)


@dataclass(slots=True, eq=False)
class _Pending:
    envelope: Envelope
    note: Note
    done: "asyncio.Future[Admitted]"

    def end(self, admitted: Admitted) -> None:
        if not self.done.done():
            self.done.set_result(admitted)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(slots=True)
class _Round:
    """What one round trip carries: a call for each group, the enqueues' before the notes'."""

    enqueues: list[list[_Pending]] = field(default_factory=list)
    notes: list[list[_Pending]] = field(default_factory=list)

    def fail(self, error: Exception) -> None:
        """Some may have been done; whoever sends the same key again finds out."""
        for group in (*self.enqueues, *self.notes):
            for each in group:
                each.fail(error)


def _failed(group: Sequence[_Pending], reply: Any) -> bool:
    """One pool's or tenant's script was refused; the others of the round stand."""
    if not isinstance(reply, Exception):
        return False
    error = reply
    try:
        with reaching_redis():
            raise reply
    except (AgentfleetError, ResponseError) as translated:
        error = translated
    for each in group:
        each.fail(error)
    return True


def _groups(pending: Iterable[_Pending], key: Callable[[_Pending], str]) -> list[list[_Pending]]:
    """By key, in groups of at most `SCRIPT`."""
    by_key: dict[str, list[_Pending]] = {}
    for each in pending:
        by_key.setdefault(key(each), []).append(each)
    return [
        group[start : start + SCRIPT] for group in by_key.values() for start in range(0, len(group), SCRIPT)
    ]
