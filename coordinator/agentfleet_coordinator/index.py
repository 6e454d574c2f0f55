"""A tenant's tasks, newest first, filtered: pages over the index in the tenant's slot.

The index only orders ids; what a task is comes from its pool. Ids whose task is gone (its retention is
over, or a crash came before it was enqueued) are skipped, and swept out a few at a time as new tasks come
in.
"""

import asyncio
import base64
import binascii
import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from agentfleet_coordinator.idempotency import PAGE
from agentfleet_coordinator.queues import Queues
from agentfleet_core.errors import InvalidInput, InvalidRequest, Unavailable
from agentfleet_core.keyspace.connect import reaching_redis
from agentfleet_core.keyspace.keys import TenantKeys
from agentfleet_core.queue.envelope import TaskRecord, TaskState
from agentfleet_core.queue.ids import minted_ms
from agentfleet_core.settings import FleetId

SCANNED = 1_000
"""Index entries looked at for one page at most; a sparse filter gets a short page and a cursor."""
SWEEP_EACH = 512
"""Admissions of a tenant between two sweeps."""
SWEPT = 1_024
"""Entries looked at in one sweep: more than came in, so that the index cannot outgrow its tasks."""
SWEEP_AGE_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Filter:
    state: TaskState | None = None
    type: str | None = None
    pool: str | None = None
    labels: Mapping[str, str] | None = None

    def admits(self, record: TaskRecord) -> bool:
        envelope = record.envelope
        return (
            self.state in (None, record.state)
            and self.type in (None, envelope.type)
            and all(envelope.labels.get(key) == value for key, value in (self.labels or {}).items())
        )


@dataclass(frozen=True, slots=True)
class TaskPage:
    records: tuple[TaskRecord, ...]
    next_cursor: str | None


class TaskIndex:
    def __init__(self, redis: Redis, fleet: FleetId, queues: Queues) -> None:
        self._redis = redis
        self._fleet = fleet
        self._queues = queues
        self._admitted: dict[str, int] = {}
        self._sweeps: dict[str, asyncio.Task[None]] = {}

    async def page(self, tenant: str, wanted: Filter, limit: int, cursor: str | None) -> TaskPage:
        """Up to `limit` tasks behind the cursor. Raises `InvalidRequest` for a cursor that is not ours."""
        key = TenantKeys(self._fleet, tenant).index
        after, score = _read_cursor(cursor) if cursor else ("", "")
        found: list[TaskRecord] = []
        scanned = 0
        while scanned < SCANNED:
            size = min(SCANNED - scanned, max(50, 2 * (limit - len(found))))
            reply = await PAGE.run(self._redis, (key,), (after, score, size))
            entries = [
                (task_id.decode(), when.decode())
                for task_id, when in zip(reply[::2], reply[1::2], strict=True)
            ]
            scanned += len(entries)
            in_pool = [entry for entry in entries if wanted.pool in (None, entry[0].partition(".")[0])]
            records = await self._queues.read_many([task_id for task_id, _ in in_pool])
            for (task_id, when), record in zip(in_pool, records, strict=True):
                if record is None or not wanted.admits(record):
                    continue
                found.append(record)
                if len(found) == limit:
                    return TaskPage(tuple(found), _write_cursor(task_id, when))
            if len(entries) < size:
                return TaskPage(tuple(found), None)
            after, score = entries[-1]
        return TaskPage(tuple(found), _write_cursor(after, score))

    async def sweep(self, tenant: str) -> int:
        """Take out entries whose task is gone, of a random stretch of those old enough; how many went."""
        key = TenantKeys(self._fleet, tenant).index
        with reaching_redis():
            seconds, _ = await self._redis.time()
            newest = (seconds - SWEEP_AGE_SECONDS) * 1_000_000
            count = await self._redis.zcount(key, "-inf", newest)
            start = random.randrange(max(1, count - SWEPT + 1))
            found: Any = await self._redis.zrange(key, "-inf", newest, byscore=True, offset=start, num=SWEPT)
        ids = [task_id.decode() for task_id in found]
        records = await self._queues.read_many(ids)
        gone = [task_id for task_id, record in zip(ids, records, strict=True) if record is None]
        if gone:
            with reaching_redis():
                await self._redis.zrem(key, *gone)
        return len(gone)

    def admitted(self, tenant: str) -> None:
        """Count an admission, and start a sweep when one is due."""
        count = self._admitted.get(tenant, 0) + 1
        self._admitted[tenant] = count % SWEEP_EACH
        if count >= SWEEP_EACH and tenant not in self._sweeps:
            sweep = asyncio.create_task(self._sweep_quietly(tenant), name=f"sweep-{tenant}")
            self._sweeps[tenant] = sweep
            sweep.add_done_callback(lambda _: self._sweeps.pop(tenant, None))

    async def close(self) -> None:
        sweeps = list(self._sweeps.values())
        for sweep in sweeps:
            sweep.cancel()
        await asyncio.gather(*sweeps, return_exceptions=True)

    async def _sweep_quietly(self, tenant: str) -> None:
        with contextlib.suppress(Unavailable):  # the next one comes soon
            await self.sweep(tenant)


def _write_cursor(task_id: str, score: str) -> str:
    return base64.urlsafe_b64encode(f"{score} {task_id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        score, _, task_id = text.partition(" ")
        if not score.isascii() or not score.isdecimal() or len(score) > 16:
            raise ValueError(text)
        minted_ms(task_id)
    except (binascii.Error, ValueError, InvalidInput) as error:
        message = "the cursor is not one that a list gave; start again without it"
        raise InvalidRequest(message, field="cursor") from error
    return task_id, score
