"""The autoscaling loop on a real Redis: signals wake it, plans are carried out, trouble stays where it is."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest
from redis.asyncio import Redis

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.api.v1alpha1 import AgentPoolSpec
from agentfleet_core.autoscaler.loop import Autoscaler
from agentfleet_core.autoscaler.ports import PoolObservation
from agentfleet_core.autoscaler.source import RedisCounters
from agentfleet_core.errors import Unavailable
from agentfleet_core.fleet.config import CompiledPool, FleetConfig
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.planner.snapshot import PoolPlan, PoolSnapshot
from agentfleet_core.queue.envelope import Envelope, PoolCounters, SettleKind, Settlement, WorkerRecord
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId
from agentfleet_core.telemetry.metrics import REGISTRY, exposition

SPEC = AgentPoolSpec.model_validate({"scaling": {"idleSecondsToZero": 0, "stabilizationSeconds": 0}})


class View:
    """A fleet config that the test writes."""

    fresh = True

    def __init__(self, *pools: str) -> None:
        compiled = {name: CompiledPool(spec=SPEC, revision="r1") for name in pools}
        self.config = FleetConfig(install="test", namespace="default", pools=compiled)

    def paused(self, *, pool: str | None = None, **_: str | None) -> str | None:
        return None

    async def changes(self) -> AsyncIterator[FleetConfig]:
        yield self.config
        await asyncio.Event().wait()


class Runner:
    """Workers that exist as soon as they are asked for; `broken` pools cannot be scaled."""

    def __init__(self) -> None:
        self.seen: dict[str, PoolObservation] = {}
        self.asked: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self.tries: Counter[str] = Counter()
        self.broken: set[str] = set()
        self.plans: asyncio.Queue[tuple[PoolSnapshot, PoolPlan]] = asyncio.Queue()

    def observe(self, pool: str) -> PoolObservation:
        return self.seen.get(pool, PoolObservation(replicas=0, ready=0))

    async def apply(self, pool: str, compiled: CompiledPool, plan: PoolPlan) -> None:
        self.tries[pool] += 1
        if pool in self.broken:
            raise ConnectionError("the runner is out of reach")
        self.seen[pool] = PoolObservation(replicas=plan.replicas, ready=plan.replicas)
        self.asked.put_nowait((pool, plan.replicas))

    def planned(self, snapshot: PoolSnapshot, plan: PoolPlan) -> None:
        self.plans.put_nowait((snapshot, plan))

    async def plan_where(self, pool: str, **wanted: object) -> PoolPlan:
        """The next plan of a pool whose snapshot has these values."""
        while True:
            snapshot, plan = await self.plans.get()
            if plan.pool == pool and all(getattr(snapshot, name) == value for name, value in wanted.items()):
                return plan


class Silent(RedisCounters):
    """Reads the real counters until told to fall silent."""

    silent = False

    async def read(
        self, pools: Sequence[str], staffed: Sequence[str]
    ) -> tuple[Sequence[PoolCounters], Sequence[Sequence[WorkerRecord]]]:
        if self.silent:
            raise Unavailable("Redis is silent")
        return await super().read(pools, staffed)


def task(pool: str) -> Envelope:
    return Envelope(
        id=new_task_id(pool),
        tenant="acme",
        type="echo",
        priority=0,
        revision="r1",
        tier="",
        tier_reason="",
        input=b"{}",
    )


class Loop:
    def __init__(self, client: Redis, fleet_id: FleetId, *pools: str) -> None:
        self.redis, self.fleet_id = client, fleet_id
        self.runner, self.view = Runner(), View(*pools)
        self.source = Silent(client, fleet_id)
        self.autoscaler = Autoscaler(client, fleet_id, self.view, self.runner, source=self.source)

    async def submit(self, pool: str, count: int = 1) -> PoolQueue:
        queue = PoolQueue(self.redis, self.fleet_id, pool)
        admitted = await queue.submit([task(pool) for _ in range(count)])
        assert all(admitted)
        return queue


@pytest.fixture
async def client(redis: RedisServer) -> AsyncIterator[Redis]:
    connected = connect(redis.url)
    yield connected
    await connected.aclose()


@pytest.fixture
async def loop(client: Redis, fleet_id: FleetId) -> AsyncIterator[Loop]:
    made = Loop(client, fleet_id, "chat", "batch")
    task = asyncio.create_task(made.autoscaler.run())
    for pool in ("chat", "batch"):
        await made.runner.plan_where(pool, known=True)
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_first_task_wakes_its_pool_by_a_signal_alone(loop: Loop) -> None:
    await loop.submit("chat")

    assert await loop.runner.asked.get() == ("chat", 1)


async def test_a_signal_that_is_no_text_is_nobodys(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    for signal in (b"\xff", b"pool/\xff"):
        await loop.redis.publish(FleetKeys(loop.fleet_id).signals, signal)
    await loop.submit("chat")

    assert await loop.runner.asked.get() == ("chat", 1)
    assert caplog.records == []


async def test_a_changed_plan_is_published_with_its_reasons_and_its_event(loop: Loop) -> None:
    await loop.submit("chat", 9)
    await loop.runner.asked.get()
    await loop.runner.plan_where("chat", waiting=9, replicas=3)

    keys = FleetKeys(loop.fleet_id)
    await loop.submit("batch")
    await loop.runner.plan_where("batch", waiting=1, replicas=1)
    record = json.loads((await loop.redis.hget(keys.plans, "chat")) or b"{}")

    assert (record["replicas"], record["notes"][0]["replicas"]) == (3, 3)
    assert [(event["before"], event["after"], event["reason"]) for event in record["events"]] == [
        (0, 3, "FirstTask")
    ]
    assert record["text"].startswith("chat wants 3 workers")


async def test_one_pool_that_cannot_be_scaled_is_tried_again_and_stops_no_other(loop: Loop) -> None:
    loop.runner.broken.add("chat")
    await loop.submit("chat")
    await loop.submit("batch")
    assert await loop.runner.asked.get() == ("batch", 1)

    while loop.runner.tries["chat"] < 2:
        await loop.runner.plans.get()
    loop.runner.broken.clear()

    assert await loop.runner.asked.get() == ("chat", 1)


async def test_on_a_silent_redis_nothing_shrinks_and_afterwards_it_does(loop: Loop) -> None:
    queue = await loop.submit("chat")
    await loop.runner.asked.get()
    claims = await queue.claim("w1", 4, lease_ms=60_000)
    loop.source.silent = True
    loop.autoscaler.wake("chat")
    held = await loop.runner.plan_where("chat", known=False)

    await queue.settle(
        [Settlement(task_id=claims[0].envelope.id, attempt=claims[0].attempt, kind=SettleKind.END)]
    )
    await queue.forget("w1")
    loop.source.silent = False
    loop.autoscaler.wake("chat")

    assert held.replicas == 1
    assert await loop.runner.asked.get() == ("chat", 0)


async def test_an_idle_worker_is_drained_in_redis_before_the_number_falls(loop: Loop) -> None:
    queue = await loop.submit("chat")
    await loop.runner.asked.get()
    loop.runner.seen["chat"] = PoolObservation(replicas=1, ready=1, live_workers=frozenset({"w1"}))
    claims = await queue.claim("w1", 4, lease_ms=60_000)
    await queue.settle(
        [Settlement(task_id=claims[0].envelope.id, attempt=claims[0].attempt, kind=SettleKind.END)]
    )

    assert await loop.runner.asked.get() == ("chat", 0)
    assert [(each.id, each.draining) for each in await queue.workers()] == [("w1", True)]


async def test_a_pool_that_left_the_config_is_forgotten(loop: Loop) -> None:
    assert b'{pool="chat"' in exposition()

    loop.view.config = replace_pools(loop.view.config, "batch")
    loop.autoscaler.wake()
    await loop.runner.plan_where("batch")

    assert set(loop.autoscaler.pools) == {"batch"}
    gauges = {line for line in exposition().splitlines() if b'{pool="chat"' in line and b"_total" not in line}
    assert not gauges


async def test_what_the_queue_ends_by_itself_is_counted_once(loop: Loop) -> None:
    def cancelled() -> float:
        labels = {"pool": "chat", "task_type": "echo", "state": "cancelled"}
        return REGISTRY.get_sample_value("agentfleet_tasks_ended_total", labels) or 0

    before = cancelled()
    for number in (1, 2):
        queue = await loop.submit("chat")
        (claim,) = await queue.claim(f"w{number}", 1, lease_ms=60_000)
        await loop.runner.plan_where("chat", running=1)
        assert await queue.cancel(claim.envelope.id, "Asked")
        await loop.runner.plan_where("chat", running=0)
        loop.autoscaler.wake("chat")
        await loop.runner.plan_where("chat", running=0)
        assert cancelled() == before + number


def replace_pools(config: FleetConfig, *names: str) -> FleetConfig:
    return config.model_copy(update={"pools": {name: config.pools[name] for name in names}})
