"""A deleted pool finishes what its workers hold and keeps what waits; a rollout replaces workers that hold
nothing.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.integration.operator.world import Json, World, world
from tests.servers.kube import KubeApiserver

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.queue.envelope import Claim, SettleKind, Settlement


@pytest.fixture
async def here(kube: KubeApiserver, redis: RedisServer, namespace: str) -> AsyncIterator[World]:
    async with world(kube, redis.url, namespace) as made:
        made.start_operator()
        yield made


async def staffed(here: World, *workers: str, **spec: object) -> Json:
    """A pool with as many ready workers, by hand: there is no controller that makes pods."""
    await here.add_pool("interactive", replicas=len(workers), **spec)
    made = await here.deployment_of("interactive", lambda one: one["spec"]["replicas"] == len(workers))
    for worker in workers:
        await here.add_pod(made, worker)
    await here.report_ready(made, len(workers))
    await here.condition("AgentPool", "interactive", "Ready", "True")
    return made


async def claimed(here: World, worker: str) -> Claim:
    [claim] = await here.queue("interactive").claim(worker, 1, lease_ms=60_000)
    return claim


async def settle(here: World, claim: Claim) -> None:
    end = Settlement(claim.envelope.id, claim.attempt, SettleKind.END)
    await here.queue("interactive").settle([end])


async def test_a_deleted_pool_finishes_what_it_holds_and_keeps_what_waits(here: World) -> None:
    await staffed(here, "worker-a")
    await here.submit("interactive", 3)
    claim = await claimed(here, "worker-a")

    await here.delete("AgentPool", "interactive")

    draining = await here.condition("AgentPool", "interactive", "Draining", "True")
    assert draining["reason"] == "PoolDeleted"
    assert await here.queue("interactive").claim("worker-a", 1, lease_ms=60_000) == []
    assert await here.get("AgentPool", "interactive") is not None

    await settle(here, claim)
    await here.until_gone("AgentPool", "interactive")
    await here.until("Deployment", lambda all_: not all_)
    assert (await here.queue("interactive").counters()).waiting == 2


async def test_a_deleted_pool_goes_at_its_deadline_whatever_it_holds(here: World) -> None:
    await staffed(here, "worker-a", terminationGracePeriodSeconds=1)
    await here.submit("interactive")
    await claimed(here, "worker-a")

    await here.delete("AgentPool", "interactive")

    await here.until_gone("AgentPool", "interactive", seconds=60)
    assert (await here.queue("interactive").counters()).running == 1


async def test_a_rollout_waits_for_new_workers_and_spares_busy_ones(here: World) -> None:
    old = await staffed(here, "worker-a", "worker-b", worker={"image": "shop/agents:1"})
    await here.submit("interactive")
    claim = await claimed(here, "worker-a")

    await here.patch("AgentPool", "interactive", {"spec": {"worker": {"image": "shop/agents:2"}}})

    both = await here.until("Deployment", lambda all_: asked(all_) == [1, 2])
    [new] = [one for one in both if one["metadata"]["uid"] != old["metadata"]["uid"]]
    await here.condition("AgentPool", "interactive", "Progressing", "True")
    await here.add_pod(new, "worker-c")
    await here.report_ready(new, 1)

    both = await here.until("Deployment", lambda all_: asked(all_) == [1, 2] and asked_of(all_, old) == 1)
    [left] = [one for one in await here.items("Pod") if cost(one)]
    assert left["metadata"]["name"] == "worker-b", "the idle one leaves first"
    await here.delete("Pod", "worker-b")
    await here.add_pod(new, "worker-d")
    new = next(one for one in both if one["metadata"]["uid"] == new["metadata"]["uid"])
    await here.report_ready(new, 2)

    await settle(here, claim)
    await here.until("Deployment", lambda all_: asked_of(all_, old) == 0)
    await here.delete("Pod", "worker-a")
    alone = await here.until("Deployment", lambda all_: len(all_) == 1)
    assert asked(alone) == [2]
    await here.condition("AgentPool", "interactive", "Progressing", "False")


async def test_a_new_installation_image_rolls_as_carefully_as_a_pools_own(here: World) -> None:
    old = await staffed(here, "worker-a", "worker-b")
    await here.submit("interactive")
    claim = await claimed(here, "worker-a")

    await asyncio.to_thread(here.stop_operators)
    here.start_operator("upgraded", AGENTFLEET_WORKER_IMAGE="registry.test/agentfleet-worker:2")

    both = await here.until("Deployment", lambda all_: asked(all_) == [1, 2])
    [new] = [one for one in both if one["metadata"]["uid"] != old["metadata"]["uid"]]
    assert new["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.test/agentfleet-worker:2"
    [kept] = [one for one in both if one["metadata"]["uid"] == old["metadata"]["uid"]]
    assert kept["spec"]["template"] == old["spec"]["template"], "no rolling update stops its workers"
    await here.add_pod(new, "worker-c")
    await here.report_ready(new, 1)
    await here.until("Deployment", lambda all_: asked_of(all_, old) == 1)
    [left] = [one for one in await here.items("Pod") if cost(one)]
    assert left["metadata"]["name"] == "worker-b"
    await settle(here, claim)


def asked(deployments: list[Json]) -> list[int]:
    return sorted(one["spec"]["replicas"] for one in deployments)


def asked_of(deployments: list[Json], which: Json) -> int:
    numbers = {one["metadata"]["uid"]: int(one["spec"]["replicas"]) for one in deployments}
    return numbers[which["metadata"]["uid"]]


def cost(pod: Json) -> str:
    annotations = pod["metadata"].get("annotations") or {}
    return str(annotations.get("controller.kubernetes.io/pod-deletion-cost", ""))
