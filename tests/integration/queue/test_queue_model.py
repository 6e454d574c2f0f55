"""Whatever happens in whatever order, sent once or twice: records, streams, leases and counters agree.

And no task that was admitted is lost, and none ends twice. Time passes by moving what is stored.
"""

import asyncio
import itertools
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from tests.integration.queue.queue_rooms import LEASE_MS, POOL, RedisRoom, entry, envelope, now_ms, settled

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.scripts import run_all
from agentfleet_core.queue.envelope import Claim, Envelope, SettleKind, TaskRecord, TaskState
from agentfleet_core.queue.policy import PoolPolicy, TenantPolicy
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId

RUNS = itertools.count()
TENANTS = st.sampled_from(["acme", "globex"])
KINDS = st.sampled_from(["refund", "research"])
WORKERS = st.sampled_from(["w1", "w2"])
LIMITS = st.sampled_from(["five", "nine"])
TIMES = st.sampled_from([0, 0, 5_000, 90_000])
SETTLES = st.sampled_from(list(SettleKind))
ENDS = st.sampled_from([TaskState.SUCCEEDED, TaskState.FAILED, TaskState.PARTIAL])

Records = dict[str, dict[bytes, bytes]]
States = dict[TaskState, set[str]]


class QueueMachine(RuleBasedStateMachine):
    server: RedisServer
    ids = Bundle("ids")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.admitted: dict[str, Envelope] = {}
        self.ended: dict[str, TaskRecord] = {}
        self.spent: Counter[str] = Counter()

    @initialize(cap=st.integers(0, 3), type_cap=st.integers(0, 3))
    def open(self, cap: int, type_cap: int) -> None:
        self.caps, self.limits = (cap, type_cap), "five"
        self.loop.run(self._open(self._policy()))

    def _policy(self) -> PoolPolicy:
        return PoolPolicy(1, *self.caps, {"acme": TenantPolicy(2.0, 4, self.limits)})

    async def _open(self, policy: PoolPolicy) -> None:
        self.redis = connect(self.server.url)
        self.queue = PoolQueue(self.redis, FleetId("model", f"queue-{next(RUNS)}"), POOL)
        self.room = RedisRoom(self.queue, self.redis)
        await self.queue.configure(policy)

    def teardown(self) -> None:
        self.loop.run(self.redis.aclose())
        self.loop.close()

    @rule(
        target=ids,
        count=st.integers(1, 4),
        tenant=TENANTS,
        kind=KINDS,
        priority=st.sampled_from([10, 90]),
        wait=TIMES,
        expires=st.sampled_from([30, 86_400, 86_400]),
        cost=st.sampled_from([0, 10_000]),
    )
    def submit(
        self, count: int, tenant: str, kind: str, priority: int, wait: int, expires: int, cost: int
    ) -> object:
        tasks = [
            envelope(
                tenant,
                kind=kind,
                priority=priority,
                expires_after_seconds=expires,
                expected_cost=cost,
                max_attempts=2,
                not_before_ms=now_ms() + wait if wait else 0,
            )
            for _ in range(count)
        ]
        assert self.loop.run(self.queue.submit(tasks)) == [True] * count
        self.admitted |= {task.id: task for task in tasks}
        return multiple(*[task.id for task in tasks])

    @rule(task_id=ids)
    def submit_again(self, task_id: str) -> None:
        assert self.loop.run(self.queue.submit([self.admitted[task_id]])) == [False]

    @rule(target=claims, worker=WORKERS, slots=st.integers(1, 6), repeated=st.booleans())
    def claim(self, worker: str, slots: int, repeated: bool) -> object:
        call = self.queue.calls.claim(
            worker,
            slots,
            lease_ms=LEASE_MS,
            number=self.queue.claim_number(),
            revisions=(),
            paused_tenants=(),
            paused_types=(),
        )
        replies = self.loop.run(run_all(self.redis, [call, call] if repeated else [call]))
        found = [self.queue.claimed(reply)[0] for reply in replies]
        assert len(found[0]) <= slots
        if repeated:
            assert _names(found[0]) == _names(found[1]), "the same claim again is the same tasks"
        return multiple(*found[0])

    @rule(claim=claims, key=st.sampled_from(["a", "b"]), cost=st.integers(0, 500), times=st.integers(1, 2))
    def journal(self, claim: Claim, key: str, cost: int, times: int) -> None:
        task_id = claim.envelope.id
        known = self.loop.run(self.queue.steps(task_id))
        written = self.loop.run(self.queue.journal([entry(claim, key, b"{}", cost)] * times))
        current = self._is_current(claim)
        assert written == [current] * times
        if current and key not in known:
            self.spent[task_id] += cost

    @rule(
        claim=claims,
        kind=SETTLES,
        state=ENDS,
        wait=TIMES,
        block=st.booleans(),
        limits=LIMITS,
        times=st.integers(1, 2),
    )
    def settle(
        self,
        claim: Claim,
        kind: SettleKind,
        state: TaskState,
        wait: int,
        block: bool,
        limits: str,
        times: int,
    ) -> None:
        due = now_ms() + wait if wait else 0
        settlement = settled(
            claim,
            kind,
            state=state,
            error=b'{"title":"x"}',
            not_before_ms=due,
            block_tenant=block,
            limits_digest=limits,
        )
        outcomes = self.loop.run(self.queue.settle([settlement] * times))
        assert len(set(outcomes)) == 1, "the same settlement again gets the same answer"

    @rule(claim=claims, worker=WORKERS)
    def extend(self, claim: Claim, worker: str) -> None:
        lost = self.loop.run(self.queue.extend(worker, {claim.envelope.id: claim.attempt}, lease_ms=LEASE_MS))
        assert (lost == []) == self._is_current(claim)

    @rule(milliseconds=st.sampled_from([1_000, 20_000, LEASE_MS + 1]))
    def time_passes(self, milliseconds: int) -> None:
        self.loop.run(self.room.pass_time(milliseconds))
        self.ended = {task_id: record for task_id, record in self._records().items() if task_id in self.ended}

    @rule(task_id=ids, times=st.integers(1, 2))
    def cancel(self, task_id: str, times: int) -> None:
        answers = {self.loop.run(self.queue.cancel(task_id, "Asked")) for _ in range(times)}
        assert len(answers) == 1

    @rule(task_id=ids)
    def delete(self, task_id: str) -> None:
        erased = self.loop.run(self.queue.delete(task_id))
        assert erased == (task_id in self.ended)
        if erased:
            self.ended[task_id] = self._records()[task_id]

    @rule(tenant=TENANTS)
    def unblock(self, tenant: str) -> None:
        self.loop.run(self.queue.unblock(tenant))

    @rule(limits=LIMITS)
    def the_limits_are(self, limits: str) -> None:
        before, self.limits = self.limits, limits
        self.loop.run(self.queue.configure(self._policy()))
        if limits != before:
            assert self.loop.run(self._held_back("acme")) == 0, "what other limits parked goes on"

    async def _held_back(self, tenant: str) -> int:
        keys = self.queue.calls.keys
        blocked = await self.redis.zscore(keys.blocked, tenant) is not None
        return blocked + int(await self.redis.scard(keys.deferred(tenant)))

    @rule(worker=WORKERS)
    def worker_dies(self, worker: str) -> None:
        self.loop.run(self.queue.forget(worker))

    @invariant()
    def nothing_is_lost_and_nothing_ends_twice(self) -> None:
        records = self._records()
        assert set(records) == set(self.admitted)
        for task_id, before in self.ended.items():
            assert records[task_id] == before, "an ended task changed"
        self.ended = {task_id: record for task_id, record in records.items() if record.state.ended}
        for task_id, record in records.items():
            assert record.cost == self.spent[task_id]

    @invariant()
    def everything_agrees(self) -> None:
        self.loop.run(self._check())

    async def _check(self) -> None:
        keys, redis = self.queue.calls.keys, self.redis
        records = {task_id: await redis.hgetall(keys.task(task_id)) for task_id in self.admitted}
        by_state = {
            state: {name for name, found in records.items() if found[b"s"].decode() == state}
            for state in TaskState
        }
        for state, key in (
            (TaskState.QUEUED, keys.expiry),
            (TaskState.PARKED, keys.parked),
            (TaskState.RUNNING, keys.leases),
        ):
            assert {f"{POOL}.{ulid.decode()}" for ulid in await redis.zrange(key, 0, -1)} == by_state[state]
        waiting, running = Counter[str](), Counter[str]()
        for name in by_state[TaskState.QUEUED]:
            waiting[self.admitted[name].tenant] += 1
        for name in by_state[TaskState.RUNNING]:
            task = self.admitted[name]
            running.update([f"t:{task.tenant}", f"y:{task.type}", f"w:{records[name][b'w'].decode()}"])
        assert _counts(await redis.hgetall(keys.waiting)) == waiting
        assert _counts(await redis.hgetall(keys.running)) == running
        assert {tenant.decode() for tenant in await redis.zrange(keys.share, 0, -1)} == set(waiting)
        await self._check_streams(records, by_state)
        self._check_caps(running)
        assert await self.queue.audit(deep=True)

    async def _check_streams(self, records: Records, by_state: States) -> None:
        """Streams hold the queued tasks and tombstones; no tombstone is first, and no stream is empty."""
        keys, redis = self.queue.calls.keys, self.redis
        found: set[str] = set()
        tombstones = 0
        async for stream in redis.scan_iter(match=f"{keys.tag}:q:*", count=1000):
            _, _, tenant_and_lane = stream.decode().partition(":q:")
            tenant, _, lane = tenant_and_lane.partition(":")
            entries = await redis.xrange(stream)
            assert await redis.hget(keys.lanes(tenant), lane) == entries[0][0]
            for index, (stream_id, fields) in enumerate(entries):
                name = f"{POOL}.{fields[b't'].decode()}"
                if name in by_state[TaskState.QUEUED] and records[name][b"n"] == stream_id:
                    found.add(name)
                else:
                    assert index, "a tombstone is first in its lane"
                    tombstones += 1
        assert found == by_state[TaskState.QUEUED]
        assert int(await redis.hget(keys.counters, "tombstones") or 0) == tombstones

    def _check_caps(self, running: Counter[str]) -> None:
        cap, type_cap = self.caps
        for name, count in running.items():
            assert not (cap and name.startswith("t:") and count > cap)
            assert not (type_cap and name.startswith("y:") and count > type_cap)

    def _records(self) -> dict[str, TaskRecord]:
        found = self.loop.run(self.queue.get(list(self.admitted)))
        return {record.envelope.id: record for record in found if record is not None}

    def _is_current(self, claim: Claim) -> bool:
        record = self._records()[claim.envelope.id]
        return record.state is TaskState.RUNNING and record.attempt == claim.attempt


def _names(claims: list[Claim]) -> list[tuple[str, int]]:
    return sorted((claim.envelope.id, claim.attempt) for claim in claims)


def _counts(fields: dict[bytes, bytes]) -> dict[str, int]:
    return {name.decode(): int(count) for name, count in fields.items()}


def test_any_order_of_operations_keeps_everything_in_agreement(redis: RedisServer) -> None:
    QueueMachine.server = redis
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )  # fmt: skip
