"""Each declared metric has a right value after a fleet has worked: a table over all of them.

Coordinator, worker and autoscaler run in this process and share one registry, so their counters are compared
by growth; the operator is a process of its own on a real kube-apiserver.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import Gauge, Histogram
from tests.integration.metrics_scrape import DECLARED, Scrape, Values, scrape
from tests.integration.metrics_stage import SHELF, Story, told_fleet
from tests.integration.operator.world import manifest, world
from tests.integration.worker.handlers import GATES
from tests.integration.worker.rig import POOL, script
from tests.servers.coordinator import until
from tests.servers.kube import KubeApiserver

from agentfleet_cli.local.redis_server import RedisServer, free_port
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import LimitWindow, Refused, Reserved
from agentfleet_core.budget.money import NANO_PER_USD
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.fleet.store import read_config
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.envelope import Envelope, SettleKind, Settlement
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId

HOUR_MS = 3_600_000
FAR_FUTURE_MS = 4_000_000_000_000


@pytest.fixture
async def story(redis: RedisServer, fleet_id: FleetId, tmp_path: Path) -> AsyncIterator[Story]:
    async with told_fleet(redis, fleet_id, tmp_path) as told:
        yield told


class Several:
    """How often the loop looks depends on the machine."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and other > 1

    __hash__ = None  # type: ignore[assignment]  # equal to many


# What the table says of each metric: how much it has grown, by its labels, once the story has been told.
FAST = ("fast", "claude-haiku-5-5")
FLEET: dict[str, Callable[[Story], Values]] = {
    "agentfleet_tasks_submitted": lambda story: {
        (POOL, "ask", "accepted"): 5,
        (POOL, "ask", "repeated"): 1,
        ("other", "other", "refused"): 1,
    },
    "agentfleet_http_requests": lambda story: {
        ("POST", "/v1/tasks", "201"): 5,
        ("POST", "/v1/tasks", "200"): 1,
        ("POST", "/v1/tasks", "422"): 1,
        ("GET", "/v1/tasks/{task_id}/events", "200"): 1,
        ("POST", "/v1/tasks/{task_id}/cancel", "200"): 1,
    },
    "agentfleet_http_request_duration_seconds": lambda story: {
        ("POST", "/v1/tasks"): 7,
        ("GET", "/v1/tasks/{task_id}/events"): 1,
        ("POST", "/v1/tasks/{task_id}/cancel"): 1,
    },
    "agentfleet_followers": lambda story: {(): 0},
    "agentfleet_queue_tasks": lambda story: {
        (POOL, state): 0 for state in ("waiting", "blocked", "running", "parked", "due", "orphaned")
    },
    "agentfleet_queue_oldest_wait_seconds": lambda story: {(POOL,): 0},
    "agentfleet_redis_up": lambda story: {(): 1},
    "agentfleet_task_start_latency_seconds": lambda story: {(POOL,): 9},
    "agentfleet_task_duration_seconds": lambda story: {
        (POOL, "ask"): 5,
        (POOL, "fail-first"): 2,
        (POOL, "raise-it"): 1,
        (POOL, "wait-for-gate"): 2,
    },
    "agentfleet_tasks_ended": lambda story: {
        (POOL, "ask", "succeeded"): 4,
        (POOL, "ask", "cancelled"): 1,
        (POOL, "ask", "failed"): 1,
        (POOL, "ask", "dead"): 1,
        (POOL, "fail-first", "succeeded"): 1,
        (POOL, "raise-it", "dead"): 1,
        (POOL, "wait-for-gate", "succeeded"): 2,
        (SHELF, "shelved", "cancelled"): 9,
    },
    "agentfleet_tasks_postponed": lambda story: {
        (POOL, "park", "CallAboveLimit"): 1,
        (POOL, "retry", "HandlerFailed"): 1,  # the one that ended dead was not given back
    },
    "agentfleet_worker_tasks": lambda story: {(POOL,): 0},
    "agentfleet_worker_slots": lambda story: {(POOL,): 5},
    "agentfleet_llm_calls": lambda story: {
        (*FAST, "complete"): 4,
        (*FAST, "cut"): 1,
        (*FAST, "overloaded_error"): 1,
    },
    "agentfleet_llm_call_duration_seconds": lambda story: {FAST: 4},
    "agentfleet_llm_tokens": lambda story: {
        (*FAST, "input"): story.tokens("input_tokens"),
        (*FAST, "output"): story.tokens("output_tokens"),
    },
    "agentfleet_spent_usd": lambda story: {("acme", "fast"): pytest.approx(story.spent)},
    "agentfleet_unconfirmed_usd": lambda story: {
        ("acme",): pytest.approx(sum(step.cost for step in story.cut) / NANO_PER_USD)
    },
    "agentfleet_overrun_usd": lambda story: {("acme",): pytest.approx(0.25)},
    "agentfleet_reserves": lambda story: {
        # Four answers, a cut, an overload, and two by hand; the poor tenant's twice: by its bound, and by the
        # provider's count.
        ("reserved",): 8,
        ("blocked_by_holds",): 1,
        ("exhausted",): 2,
        ("stale",): 1,
    },
    "agentfleet_holds": lambda story: {(): 0},
    "agentfleet_ledger_operation_duration_seconds": lambda story: {
        ("reserve",): 12,
        ("mark_sent",): 6,
        ("settle",): 7,
        ("release",): 1,
    },
    "agentfleet_pool_replicas_wanted": lambda story: {(POOL,): 1},
    "agentfleet_pool_replicas_ready": lambda story: {(POOL,): 1},
    "agentfleet_pool_limited": lambda story: {},
    "agentfleet_scale_events": lambda story: {
        (SHELF, "up", "FirstTask"): 1,
        (SHELF, "down", "IdleToZero"): 1,
    },
    "agentfleet_plan_duration_seconds": lambda story: {(): Several()},
    "agentfleet_fleet_config_version": lambda story: {(): story.fleet.version},
}
OPERATOR: dict[str, Values] = {
    "agentfleet_budget_spent_usd": {("acme", "day"): 0.25, ("acme", "ever"): 0.25},
    "agentfleet_budget_held_usd": {("acme", "day"): 0.5, ("acme", "ever"): 0.5},
    "agentfleet_budget_limit_usd": {("acme", "day"): 5, ("acme", "ever"): 100},
    "agentfleet_operator_leader": {(): 1},
    "agentfleet_kubernetes_writes": {("Deployment", "done"): 1},
    "agentfleet_redis_up": {(): 1},
}


def test_no_metric_is_without_an_expectation() -> None:
    assert {*FLEET, *OPERATOR} == set(DECLARED)


async def test_after_a_fleet_has_worked_each_metric_is_right(story: Story) -> None:
    await story.until("agentfleet_fleet_config_version", is_={(): 1})
    before, began = await scrape(story.coordinator), time.monotonic()
    await tell_the_shelf(story)
    await tell_the_work(story)
    await tell_the_ledger(story)
    await story.until("agentfleet_queue_tasks", is_={(POOL, "parked"): 0, (POOL, "running"): 0})
    after = await scrape(story.coordinator)
    seconds = time.monotonic() - began
    wrong: list[str] = []
    for name, expectation in FLEET.items():
        expected = expectation(story)
        found = concerned(name, after.grown_since(before, name), before, expected)
        if found != expected:
            wrong.append(f"{name}: {found}, not {expected}")
        if isinstance(DECLARED[name], Histogram):
            for labels, total in after.grown_since(before, name, "_sum").items():
                assert 0 < total <= seconds * found.get(labels, 1_000), (name, labels)
    assert not wrong, "\n".join(wrong)


def concerned(name: str, found: Values, before: Scrape, expected: Values) -> Values:
    """What this story alone has set: a process's other tests leave gauges, and scrapes are requests too."""
    if "http" in name:
        return {labels: value for labels, value in found.items() if labels[1].startswith("/v1/")}
    if isinstance(DECLARED[name], Gauge):
        then = before.values(name)
        return {key: value for key, value in found.items() if key in expected or value != then.get(key)}
    return found


async def tell_the_shelf(story: Story) -> None:
    """A task in each state that a queue knows, in a pool of one worker at most; then none, and no pool."""
    fleet = story.fleet
    shelf = PoolQueue(fleet.redis, fleet.id, SHELF)
    blocked = [shelved("globex"), shelved("globex")]
    running, orphan = shelved(), shelved()
    await shelf.submit(blocked[:1])
    await story.until("agentfleet_pool_replicas_ready", is_={(SHELF,): 1})
    await shelf.submit(blocked[1:])
    (claim,) = await shelf.claim("ghost", 1, lease_ms=HOUR_MS)
    park = Settlement(
        claim.envelope.id, claim.attempt, SettleKind.PARK, not_before_ms=FAR_FUTURE_MS, block_tenant=True
    )
    await shelf.settle([park])
    await shelf.submit([running, orphan])
    await shelf.claim("ghost", 1, lease_ms=HOUR_MS)
    await shelf.claim("ghost", 1, lease_ms=0)
    now_ms = (await shelf.counters()).now_ms
    due, later = (shelved(not_before_ms=now_ms + HOUR_MS) for _ in range(2))
    waiting = [shelved() for _ in range(3)]
    await shelf.submit([due, later, *waiting])
    # As if its hour were over.
    await fleet.redis.zadd(shelf.calls.keys.parked, {shelf.calls.ulid(due.id): now_ms})
    states = {"waiting": 3, "blocked": 1, "running": 1, "parked": 2, "due": 1, "orphaned": 1}
    await story.until("agentfleet_queue_tasks", is_={(SHELF, name): count for name, count in states.items()})
    await story.until("agentfleet_pool_limited", is_={(SHELF, "MaxReplicas"): 1})
    now = await scrape(story.coordinator)
    assert now.values("agentfleet_pool_replicas_wanted")[(SHELF,)] == 1
    waited = now.values("agentfleet_queue_oldest_wait_seconds")[(SHELF,)]
    counters = await shelf.counters()
    assert 0 < waited <= (counters.now_ms - counters.oldest_waiting_ms) / 1_000

    for one in (*blocked, running, orphan, due, later, *waiting):
        assert await shelf.cancel(one.id, "Asked")
    await shelf.forget("ghost")
    await story.until("agentfleet_pool_replicas_ready", is_={(SHELF,): 0})
    now = await scrape(story.coordinator)
    assert now.values("agentfleet_pool_limited")[SHELF, "MaxReplicas"] == 0
    fleet.pools = (POOL,)
    await story.publish()
    await story.until_gone("agentfleet_queue_tasks", SHELF)


def shelved(tenant: str = "acme", **more: Any) -> Envelope:
    return Envelope(
        id=new_task_id(SHELF), tenant=tenant, type="shelved", priority=50, revision="r1", tier="fast",
        tier_reason="TierDefault", input=b"{}", **more,
    )  # fmt: skip


async def tell_the_work(story: Story) -> None:
    """Every way in which a task of a worker can go on or end."""
    fleet = story.fleet
    await lose_with_its_workers(story)
    late = ask(not_before_ms=FAR_FUTURE_MS, expires_after_seconds=1)
    await fleet.queue.submit([late])
    first = await story.submit(script(text="It ships."), key="first")
    assert await story.submit(script(text="It ships."), key="first") == first
    assert (await story.acme.post("/v1/tasks", json={"type": "unknown"})).status_code == 422
    async with story.acme.stream("GET", f"/v1/tasks/{first}/events") as events:
        await story.until("agentfleet_followers", is_={(): 1})
        async with fleet.worker():
            async for _ in events.aiter_lines():
                pass
            await story.ended(first)
            await story.ended(late.id)
            await story.until("agentfleet_followers", is_={(): 0})
            await work_beside_a_worker(story)


async def work_beside_a_worker(story: Story) -> None:
    fleet = story.fleet
    for fault in ("cut", "529"):
        await story.ended(await story.submit(script(text="Now.", fail=[fault], retry_after=0)))
    await story.ended(await fleet.submit("fail-first", times=1))
    await story.ended(await fleet.submit("raise-it", what="base"))
    story.door.is_open = False
    held = await story.submit(script(text="At last."))
    await story.until("agentfleet_holds", is_={(): 1})
    story.door.open()
    await story.ended(held)
    for name in ("one", "other"):
        GATES[name] = asyncio.Event()
    gated = [await fleet.submit("wait-for-gate", gate=name) for name in ("one", "other")]
    await story.until("agentfleet_worker_tasks", is_={(POOL,): 2})
    for left, task, name in ((1, gated[0], "one"), (0, gated[1], "other")):
        GATES[name].set()
        await story.ended(task)
        await story.until("agentfleet_worker_tasks", is_={(POOL,): left})
    fleet.pool(concurrency=5)
    await story.publish()
    await story.until("agentfleet_worker_slots", is_={(POOL,): 5})
    dear = await story.submit(script(text="Too dear."), by=story.poor)
    assert (await fleet.event(dear, "parked")).type == "parked"
    assert (await story.poor.post(f"/v1/tasks/{dear}/cancel")).status_code == 200


async def lose_with_its_workers(story: Story) -> None:
    """A task that no worker outlives ends dead; nobody settles it."""
    killer = ask(max_attempts=1)
    await story.fleet.queue.submit([killer])
    while await story.fleet.queue.claim("ghost", 1, lease_ms=0):
        pass
    assert (await story.fleet.record(killer.id)).state == "dead"
    await story.fleet.queue.forget("ghost")


def ask(**more: Any) -> Envelope:
    return Envelope(
        id=new_task_id(POOL), tenant="acme", type="ask", priority=50, revision="r1", tier="fast",
        tier_reason="TierDefault", input=b"{}", **more,
    )  # fmt: skip


async def tell_the_ledger(story: Story) -> None:
    """What a worker's ledger meets seldom."""
    ledger, dollar = story.fleet.ledger, NANO_PER_USD
    now_ms = (await story.fleet.queue.counters()).now_ms
    limit = LimitWindow("story", dollar, now_ms - HOUR_MS, now_ms + HOUR_MS)
    past = replace(limit, start_ms=now_ms - 2 * HOUR_MS, end_ms=now_ms - HOUR_MS)
    one = await ledger.reserve("acme", "by-hand/1", dollar // 2, [limit], lease_ms=HOUR_MS)
    other = await ledger.reserve("acme", "by-hand/2", dollar, [limit], lease_ms=HOUR_MS)
    stale = await ledger.reserve("acme", "by-hand/3", 1, [past], lease_ms=HOUR_MS)
    assert isinstance(one, Reserved)
    assert isinstance(other, Refused) and other.by_holds
    assert isinstance(stale, Refused) and stale.stale
    assert (await ledger.settle(one.hold, dollar * 3 // 4)).overrun == dollar // 4
    spare = await ledger.reserve("acme", "by-hand/4", 1, [limit], lease_ms=HOUR_MS)
    assert isinstance(spare, Reserved)
    await ledger.release(spare.hold)


async def test_an_attempt_that_was_fenced_off_counts_no_end_of_its_own(story: Story) -> None:
    before = await scrape(story.coordinator)
    async with story.fleet.worker(lease_seconds=30.0):
        GATES["fenced"] = asyncio.Event()
        task = await story.fleet.submit("ignore-every-stop", gate="fenced")
        await story.until("agentfleet_queue_tasks", is_={(POOL, "running"): 1})
        assert await story.fleet.queue.cancel(task, "Asked")
        GATES["fenced"].set()
        await story.until("agentfleet_worker_tasks", is_={(POOL,): 0})
        await story.until("agentfleet_queue_tasks", is_={(POOL, "running"): 0})
    grown = (await scrape(story.coordinator)).grown_since(before, "agentfleet_tasks_ended")
    assert grown == {(POOL, "ignore-every-stop", "cancelled"): 1}


async def test_a_worker_process_tells_of_redis_and_of_its_pool(story: Story) -> None:
    settings = story.fleet.settings()
    environment = {
        "AGENTFLEET_REDIS_URL": story.fleet.url,
        "AGENTFLEET_INSTALL": story.fleet.id.install,
        "AGENTFLEET_NAMESPACE": story.fleet.id.namespace,
        "AGENTFLEET_POOL": POOL,
        "AGENTFLEET_WORKER_ID": "w1",
        "AGENTFLEET_METRICS_PORT": str(settings.common.metrics_port),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agentfleet_worker", env={**os.environ, **environment}
    )
    try:
        expected: dict[str, Values] = {
            "agentfleet_redis_up": {(): 1},
            "agentfleet_fleet_config_version": {(): 1},
            "agentfleet_worker_slots": {(POOL,): 8},
            "agentfleet_worker_tasks": {(POOL,): 0},
        }
        await until(lambda: shows(f"http://127.0.0.1:{settings.common.metrics_port}", expected))
    finally:
        process.terminate()
        assert await process.wait() == 0


async def test_an_operator_tells_its_budgets_its_writes_and_who_leads(
    kube: KubeApiserver, redis: RedisServer, namespace: str
) -> None:
    async with world(kube, redis.url, namespace) as here:
        ports = [free_port(), free_port()]
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        here.start_operator("first", AGENTFLEET_METRICS_PORT=str(ports[0]))
        await here.until_one("Lease", "agentfleet-operator", lambda one: one["spec"].get("holderIdentity"))
        here.start_operator("second", AGENTFLEET_METRICS_PORT=str(ports[1]))
        await here.create(manifest("TenantBudget", "acme", budget(day="5.00", ever="100.00")))
        await here.condition("TenantBudget", "acme", "Accepted", "True")
        await here.add_pool("interactive")
        await here.deployment_of("interactive", lambda one: True)
        config = await read_config(here.redis, FleetKeys(here.fleet_id))
        windows = all_windows(config.tenants["acme"].spec, datetime.now(UTC))
        ledger = RedisLedger(here.redis, here.fleet_id)
        for name, dollars in (("spent", 0.25), ("held", 0.5)):
            amount = int(dollars * NANO_PER_USD)
            reserved = await ledger.reserve("acme", name, amount, windows, lease_ms=HOUR_MS)
            assert isinstance(reserved, Reserved)
            if name == "spent":
                await ledger.settle(reserved.hold, amount)

        await until(lambda: shows(urls[0], OPERATOR))
        await until(lambda: shows(urls[1], {"agentfleet_operator_leader": {(): 0}}))
        await here.patch("TenantBudget", "acme", {"spec": budget(day="5.00")})
        left = {
            name: {("acme", "day"): OPERATOR[name]["acme", "day"]} for name in OPERATOR if "budget" in name
        }
        await until(lambda: shows(urls[0], left))


def budget(**limits: str) -> dict[str, Any]:
    periods = {"day": "Day", "ever": "Total"}
    found = [{"name": name, "period": periods[name], "amount": amount} for name, amount in limits.items()]
    return {"tenant": "acme", "limits": found}


async def shows(url: str, expected: Mapping[str, Values]) -> bool:
    """Exactly that, but for the writes of objects that no expectation names."""
    try:
        found = await scrape(url)
    except httpx.TransportError:
        return False
    writes = "agentfleet_kubernetes_writes"
    return all(
        {key: value for key, value in found.values(name).items() if name != writes or key in values} == values
        for name, values in expected.items()
    )
