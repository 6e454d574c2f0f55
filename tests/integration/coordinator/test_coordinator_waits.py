"""Why a task that has not started waits: behind a cap, in a pool without workers, or for a free slot."""

import json
from typing import Any

import pytest
from tests.servers.coordinator import Coordinator, fleet_config, until

from agentfleet_core.fleet.store import publish
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
