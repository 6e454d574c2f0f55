"""Why a task waits: behind a cap, in a pool without workers, for a free slot, or, running, for its budget."""

import json
from typing import Any

import pytest
from tests.servers.coordinator import Coordinator, fleet_config, until

from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import Reserved, Waiting
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.fleet.store import publish
from agentfleet_core.keyspace.connect import redis_time
from agentfleet_core.keyspace.keys import FleetKeys


async def waits(coordinator: Coordinator, task: dict[str, Any]) -> str:
    """The one fact about what it waits for."""
    why = (await coordinator.acme.get(f"/v1/tasks/{task['id']}/why")).json()
    (text,) = [fact["text"] for fact in why["facts"] if fact["about"] == "waits"]
    assert text.split()[0] in why["text"]
    return str(text)


async def plan(coordinator: Coordinator, **fields: int) -> None:
    plans = FleetKeys(coordinator.fleet).plans
    await coordinator.redis.hset(plans, "interactive", json.dumps({"pool": "interactive"} | fields))


async def follow(coordinator: Coordinator, bulkhead: dict[str, int], max_running: int | None = None) -> None:
    """Publish these caps, and see them followed."""
    config = fleet_config(coordinator.fleet).model_dump(mode="json", by_alias=True, exclude_none=True)
    config["pools"]["interactive"]["spec"]["bulkhead"] = bulkhead
    if max_running is not None:
        config["tenants"]["acme"]["spec"]["maxRunning"] = max_running
    changed = type(fleet_config(coordinator.fleet)).model_validate(config)
    version = await publish(coordinator.redis, FleetKeys(coordinator.fleet), changed, term=1)

    async def followed() -> bool:
        return coordinator.services.follower.config.version == version

    await until(followed)


async def test_in_a_pool_that_has_no_worker(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    asleep = "interactive has no worker ready, and 0 wanted (agentfleet why pool/interactive)"
    assert await waits(coordinator, task) == asleep
    await plan(coordinator, replicas=3, ready=0)
    assert await waits(coordinator, task) == asleep.replace("0 wanted", "3 wanted")


async def test_for_a_free_slot(coordinator: Coordinator) -> None:
    tasks = [await coordinator.submitted() for _ in range(3)]
    claim = await coordinator.claim()
    await plan(coordinator, replicas=2, ready=2)
    waiting = next(task for task in tasks if task["id"] != claim.envelope.id)
    assert (
        await waits(coordinator, waiting) == "for a free slot: 2 waiting, 1 running, 2 workers in interactive"
    )
    running = (await coordinator.acme.get(f"/v1/tasks/{claim.envelope.id}/why")).json()
    assert "waits" not in {fact["about"] for fact in running["facts"]}


@pytest.mark.parametrize(
    ("bulkhead", "max_running", "text"),
    [
        (
            {"maxRunningPerTenant": 1}, None,
            "acme has 1 running in interactive, as many as it may "
            "(spec.bulkhead.maxRunningPerTenant of the pool)",
        ),
        (
            {"maxRunningPerTaskType": 1}, None,
            "refund-request has 1 running in interactive, as many as it may "
            "(spec.bulkhead.maxRunningPerTaskType of the pool)",
        ),
        (
            {"maxRunningPerTenant": 9}, 1,
            "acme has 1 running in interactive, as many as it may (spec.maxRunning of TenantBudget acme)",
        ),
    ],
)  # fmt: skip
async def test_behind_a_cap(
    coordinator: Coordinator, bulkhead: dict[str, int], max_running: int | None, text: str
) -> None:
    await follow(coordinator, bulkhead, max_running)
    await plan(coordinator, replicas=2, ready=2)
    await coordinator.submitted()
    await coordinator.claim()
    task = await coordinator.submitted()
    assert await waits(coordinator, task) == text


async def test_in_a_pool_that_is_gone(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    config = fleet_config(coordinator.fleet)
    left = {name: pool for name, pool in config.pools.items() if name != "interactive"}
    fewer = config.model_copy(update={"pools": left})
    version = await publish(coordinator.redis, FleetKeys(coordinator.fleet), fewer, term=1)

    async def followed() -> bool:
        return coordinator.services.follower.config.version == version

    await until(followed)
    assert await waits(coordinator, task) == "for pool interactive, which is none of the fleet's now"


async def test_a_running_task_whose_call_waits_for_open_holds(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    claim = await coordinator.claim()
    spec = coordinator.services.follower.config.tenants["acme"].spec
    windows = all_windows(spec, await redis_time(coordinator.redis))
    ledger = RedisLedger(coordinator.redis, coordinator.fleet)
    other = await ledger.reserve("acme", "other/1/turn-1", 4_990_000_000, windows, lease_ms=60_000)
    assert isinstance(other, Reserved)
    for tried in (f"{task['id']}/{claim.attempt}/turn-1.1.1", f"{task['id']}0/1/turn-1.1.1"):
        await ledger.note_wait("acme", Waiting(tried, "day", 53_000_000), wait_ms=60_000)

    assert await waits(coordinator, task) == (
        "for room in the day limit of acme: of $5.00 $0.00 is spent and $4.99 is held for calls under way; "
        "its next call may cost $0.053"
    )


async def test_why_a_pool_tells_whom_more_workers_would_not_help(coordinator: Coordinator) -> None:
    await follow(coordinator, {"maxRunningPerTenant": 9}, max_running=1)
    known = json.dumps({"pool": "interactive", "text": "interactive wants 2 workers"})
    await coordinator.redis.hset(FleetKeys(coordinator.fleet).plans, "interactive", known)
    for _ in range(3):
        await coordinator.submitted()
    claim = await coordinator.claim()
    call = f"{claim.envelope.id}/{claim.attempt}/turn-1.1.1"
    ledger = RedisLedger(coordinator.redis, coordinator.fleet)
    await ledger.note_wait("acme", Waiting(call, "day", 53_000_000), wait_ms=60_000)

    why = (await coordinator.admin.get("/v1/pools/interactive/why")).json()

    assert why["behind_caps"] == [
        "2 tasks wait that more workers would not start: acme has 1 running in interactive, as many as it "
        "may (spec.maxRunning of TenantBudget acme); 1 of those waits for room in its budget"
    ]
    assert "\n  behind a cap: 2 tasks wait that more workers would not start: acme has 1" in why["text"]
