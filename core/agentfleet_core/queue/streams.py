"""A pool's queue on Redis streams: the adapter behind `ports.Queue`.

Each operation is one script beside this module, safe to send twice. What a task is stands in its hash; the
streams hold the ids of waiting tasks alone, one stream per tenant, priority, type and revision, read in
weighted fair share by the claim. The type is part of it so that a cap on a type holds back that type's tasks
and no others. There is no consumer group: who holds a task, and until when, stands in the task's own record
and in the leases, and a second account of it would cost time and could disagree
(docs/decisions/20261124-leases-are-records.md).
"""

import contextlib
import itertools
import logging
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from secrets import token_hex
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from agentfleet_core.errors import Unavailable
from agentfleet_core.keyspace.connect import COMMAND_SECONDS, channels_of, reaching_redis
from agentfleet_core.keyspace.scripts import Arg
from agentfleet_core.queue.calls import (
    RETENTION_SECONDS,
    PoolCalls,
    Write,
    check_entry,
    check_event,
    check_settlement,
)
from agentfleet_core.queue.claims import decode_claims
from agentfleet_core.queue.envelope import (
    Block,
    Claim,
    Envelope,
    Event,
    JournalEntry,
    PoolCounters,
    Settlement,
    SettleOutcome,
    TaskRecord,
    WorkerRecord,
)
from agentfleet_core.queue.follow import EVENTS_PER_READ, follow_task
from agentfleet_core.queue.policy import PoolPolicy
from agentfleet_core.queue.records import decode_counters, decode_task, decode_workers
from agentfleet_core.settings import FleetId

log = logging.getLogger(__name__)

SUBMIT_CHUNK = 200
"""Tasks that one script admits, so that no script holds Redis for long."""
SETTLE_CHUNK = 500
UNBLOCK_CHUNK = 200
LONGEST_WAIT_SECONDS = min(1.0, COMMAND_SECONDS / 2)
"""An idle worker looks again after this long, whatever the doorbell says."""


class PoolQueue:
    """One pool's queue. See `ports.Queue` for what each operation promises."""

    def __init__(
        self,
        redis: Redis,
        fleet_id: FleetId,
        pool: str,
        *,
        retention_seconds: int = RETENTION_SECONDS,
    ) -> None:
        self.calls = PoolCalls(fleet_id, pool, retention_seconds=retention_seconds)
        self.pool = pool
        self.redis = redis
        self._numbers = itertools.count(1)
        self._instance = token_hex(4)
        self._next_check_ms = 0
        self._now_ms = 0

    async def _run(self, name: str, *args: Arg) -> object:
        call = self.calls.call(name, *args)
        return await call.script.run(self.redis, call.keys, call.args)

    async def submit(self, envelopes: Sequence[Envelope]) -> list[bool]:
        answers: list[bool] = []
        for start in range(0, len(envelopes), SUBMIT_CHUNK):
            call = self.calls.submit(envelopes[start : start + SUBMIT_CHUNK])
            reply = await call.script.run(self.redis, call.keys, call.args)
            answers += [admitted_ms > 0 for admitted_ms in reply]
        return answers

    def claim_number(self) -> str:
        """Names one claim, so that sending it twice claims once."""
        return f"{self._instance}-{next(self._numbers)}"

    async def claim(
        self,
        worker: str,
        slots: int,
        *,
        lease_ms: int,
        revisions: Sequence[str] = (),
        paused_tenants: Sequence[str] = (),
        paused_types: Sequence[str] = (),
    ) -> list[Claim]:
        call = self.calls.claim(
            worker,
            slots,
            lease_ms=lease_ms,
            number=self.claim_number(),
            revisions=revisions,
            paused_tenants=paused_tenants,
            paused_types=paused_types,
        )
        claims, refusals = self.claimed(await call.script.run(self.redis, call.keys, call.args))
        with contextlib.suppress(Unavailable):  # their leases end, and the next claim finds them again
            await self.settle(refusals)
        return claims

    def claimed(self, reply: Sequence[object]) -> tuple[list[Claim], list[Settlement]]:
        """Decodes a claim's reply, and remembers when something becomes due, for `wait`.

        Beside the claims: how to settle those that cannot be read.
        """
        self._now_ms, self._next_check_ms = int(str(reply[0])), int(str(reply[1]))
        claims, refusals = decode_claims(self.pool, reply)
        for refusal in refusals:
            log.warning("a task cannot be read: %s", refusal.reason, extra={"task": refusal.task_id})
        return claims, refusals

    async def configure(self, policy: PoolPolicy) -> bool:
        """Sets what claims and parks respect, and lets go on what limits have parked that are no more.

        False where a newer version stands already.
        """
        call = self.calls.configure(policy)
        lifting = await call.script.run(self.redis, call.keys, call.args)
        for tenant in lifting or ():
            await self.unblock(tenant.decode())
        return lifting is not None

    async def wait(self, timeout_seconds: float) -> None:
        seconds = min(timeout_seconds, LONGEST_WAIT_SECONDS)
        if self._next_check_ms:
            seconds = min(seconds, (self._next_check_ms - self._now_ms) / 1000)
        with reaching_redis():
            try:
                await self.redis.blpop([self.calls.keys.bell], timeout=max(0.01, seconds))
            except RedisTimeoutError:
                return

    async def journal(self, entries: Sequence[JournalEntry], events: Sequence[Event] = ()) -> list[bool]:
        if not entries and not events:
            return []
        for entry in entries:
            check_entry(entry)
        for event in events:
            check_event(event)
        writes: list[Write] = [(entry, None) for entry in entries]
        call = self.calls.journal([*writes, *((None, event) for event in events)])
        reply = await call.script.run(self.redis, call.keys, call.args)
        return [answer == 1 for answer in reply[: len(entries)]]

    async def settle(self, settlements: Sequence[Settlement]) -> list[SettleOutcome]:
        outcomes: list[SettleOutcome] = []
        for settlement in settlements:
            check_settlement(settlement)
        for start in range(0, len(settlements), SETTLE_CHUNK):
            call = self.calls.settle(settlements[start : start + SETTLE_CHUNK])
            reply = await call.script.run(self.redis, call.keys, call.args)
            outcomes += [SettleOutcome(outcome.decode()) for outcome in reply]
        return outcomes

    async def extend(self, worker: str, attempts: Mapping[str, int], *, lease_ms: int) -> list[str]:
        call = self.calls.extend(worker, attempts, lease_ms=lease_ms)
        reply = await call.script.run(self.redis, call.keys, call.args)
        return [f"{self.pool}.{ulid.decode()}" for ulid in reply]

    async def cancel(self, task_id: str, reason: str) -> bool:
        return bool(await self._run("cancel", self.calls.ulid(task_id), reason))

    async def delete(self, task_id: str) -> bool:
        return bool(await self._run("delete", self.calls.ulid(task_id)))

    async def get(self, task_ids: Sequence[str]) -> list[TaskRecord | None]:
        if not task_ids:
            return []
        call = self.calls.call("read", *[self.calls.ulid(task_id) for task_id in task_ids])
        reply = await call.script.run(self.redis, call.keys, call.args)
        return [decode_task(task_id, fields) for task_id, fields in zip(task_ids, reply, strict=True)]

    async def steps(self, task_id: str) -> Mapping[str, bytes]:
        with reaching_redis():
            fields: Any = await self.redis.hgetall(self.calls.keys.task(task_id))
        return {name[2:].decode(): value for name, value in fields.items() if name.startswith(b"j:")}

    async def follow(self, task_id: str, after: str = "0") -> AsyncGenerator[Event]:
        ulid = self.calls.ulid(task_id)

        async def read(number: str) -> Any:
            return await self._run("watch", ulid, number, EVENTS_PER_READ)

        channel = self.calls.keys.events(task_id)
        async for event in follow_task(channels_of(self.redis), channel, task_id, after, read):
            yield event

    async def counters(self) -> PoolCounters:
        call = self.calls.counters()
        return decode_counters(await call.script.run(self.redis, call.keys, call.args))

    async def workers(self) -> list[WorkerRecord]:
        call = self.calls.call("workers")
        return decode_workers(await call.script.run(self.redis, call.keys, call.args))

    async def drain(self, workers: Sequence[str]) -> None:
        if workers:
            await self._run("drain", *workers)

    async def report(self, revision: str, path: str, why: str) -> bool:
        """`module:function` cannot be loaded by a worker of this revision, or, `why` empty, can be.

        Whether that is news. The autoscaler reads it with the counters.
        """
        call = self.calls.report(revision, path, why)
        return bool(await call.script.run(self.redis, call.keys, call.args))

    async def forget(self, worker: str) -> None:
        await self._run("forget", worker)

    async def unblock(self, tenant: str) -> None:
        while await self._run("unblock", tenant, UNBLOCK_CHUNK):
            pass

    async def running_of(self, tenant: str, task_type: str) -> tuple[int, int]:
        """Tasks of the tenant and of the type that run in this pool."""
        with reaching_redis():
            counts = await self.redis.hmget(self.calls.keys.running, [f"t:{tenant}", f"y:{task_type}"])
        of_tenant, of_type = (int(count or 0) for count in counts)
        return of_tenant, of_type

    async def waiting_tenants(self) -> dict[str, tuple[int, int]]:
        """Tenants with waiting tasks, to how many wait and how many run in this pool."""
        keys = self.calls.keys
        with reaching_redis():
            reads = self.redis.pipeline(transaction=False)
            reads.hgetall(keys.waiting)
            reads.hgetall(keys.running)
            waiting, running = await reads.execute()
        return {
            tenant.decode(): (int(count), int(running.get(b"t:" + tenant, 0)))
            for tenant, count in waiting.items()
            if int(count) > 0
        }

    async def block_of(self, tenant: str) -> Block | None:
        """What keeps the tenant from starting here, perhaps over by now. None when nothing does."""
        keys = self.calls.keys
        with reaching_redis():
            reads = self.redis.pipeline(transaction=False)
            reads.zscore(keys.blocked, tenant)
            reads.hget(keys.blocked_limit, tenant)
            until_ms, limit = await reads.execute()
        if until_ms is None:
            return None
        return Block((limit or b"").decode(), 0 if until_ms == math.inf else int(until_ms))

    async def audit(self, *, deep: bool = False) -> bool:
        """Compares sums, and recounts from the records where they differ, or at once when `deep`."""
        return bool(await self._run("audit", 1 if deep else 0))
