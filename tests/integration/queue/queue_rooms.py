"""A queue under test: the real one or the one in memory, each with a clock that the test moves."""

import struct
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from agentfleet_core.keyspace.connect import FleetRedis
from agentfleet_core.ports import Queue
from agentfleet_core.queue.envelope import Claim, Envelope, JournalEntry, SettleKind, Settlement, TaskState
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.queue.policy import PoolPolicy
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.testing.memory_queue import MemoryQueue

LEASE_MS = 60_000
POOL = "interactive"


class AnyQueue(Queue, Protocol):
    async def configure(self, policy: PoolPolicy) -> bool: ...


@dataclass
class Room:
    """`pass_time` makes everything that has happened so far happen earlier by so much."""

    queue: AnyQueue

    async def pass_time(self, milliseconds: int) -> None:
        raise NotImplementedError

    async def next_millisecond(self) -> None:
        """What comes now is later than what was before, by the queue's clock."""
        raise NotImplementedError

    async def submit(self, *envelopes: Envelope) -> list[Envelope]:
        assert await self.queue.submit(envelopes) == [True] * len(envelopes)
        return list(envelopes)

    async def claim(self, slots: int = 1, worker: str = "w1", **options: object) -> list[Claim]:
        return await self.queue.claim(worker, slots, lease_ms=LEASE_MS, **options)  # type: ignore[arg-type]

    async def claim_one(self, worker: str = "w1") -> Claim:
        [claim] = await self.claim(1, worker)
        return claim

    async def state(self, task_id: str) -> TaskState:
        [record] = await self.queue.get([task_id])
        assert record is not None
        return record.state


@dataclass
class MemoryRoom(Room):
    async def pass_time(self, milliseconds: int) -> None:
        assert isinstance(self.queue, MemoryQueue)
        await self.queue.advance(milliseconds)

    async def next_millisecond(self) -> None:
        await self.pass_time(1)


@dataclass
class RedisRoom(Room):
    redis: FleetRedis

    async def pass_time(self, milliseconds: int) -> None:
        assert isinstance(self.queue, PoolQueue)
        keys = self.queue.calls.keys
        for key in (keys.leases, keys.parked, keys.expiry, keys.blocked):
            for member, score in await self.redis.zrange(key, 0, -1, withscores=True):
                await self.redis.zadd(key, {member: score - milliseconds})
        async for key in self.redis.scan_iter(match=f"{keys.tag}:t:*", count=1000):
            await self._shift_task(key, milliseconds)

    async def next_millisecond(self) -> None:
        async def clock_ms() -> int:
            seconds, microseconds = await self.redis.time()
            return int(seconds) * 1_000 + int(microseconds) // 1_000

        before = await clock_ms()
        while await clock_ms() == before:
            pass

    async def _shift_task(self, key: bytes, milliseconds: int) -> None:
        constants = await self.redis.hget(key, "k")
        assert constants is not None
        admitted, expires, *rest = struct.unpack_from(">4d", constants)
        shifted = struct.pack(">4d", admitted - milliseconds, expires - milliseconds, *rest)
        await self.redis.hset(key, "k", shifted + constants[32:])
        for field in ("st", "ca", "pa", "si", "nb"):
            value = await self.redis.hget(key, field)
            if value is not None:
                await self.redis.hset(key, field, int(value) - milliseconds)


def envelope(tenant: str = "acme", *, kind: str = "refund", priority: int = 50, **more: object) -> Envelope:
    fields: dict[str, object] = {
        "id": new_task_id(POOL),
        "tenant": tenant,
        "type": kind,
        "priority": priority,
        "revision": "r1",
        "tier": "fast",
        "tier_reason": "Default",
        "input": b'{"order": "A-1001"}',
        "labels": {"shop": "berlin"},
    }
    return Envelope(**{**fields, **more})  # type: ignore[arg-type]


def settled(claim: Claim, kind: SettleKind = SettleKind.END, **more: object) -> Settlement:
    return Settlement(claim.envelope.id, claim.attempt, kind, **more)  # type: ignore[arg-type]


def entry(claim: Claim, key: str, value: bytes = b"{}", cost: int = 0) -> JournalEntry:
    return JournalEntry(claim.envelope.id, claim.attempt, key, value, cost)


def tenants(claims: list[Claim]) -> list[str]:
    return [claim.envelope.tenant for claim in claims]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def ascending(numbers: list[int]) -> bool:
    return all(first < second for first, second in pairwise(numbers))
