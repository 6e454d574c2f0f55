"""With Kubernetes' own controllers: real ReplicaSets choose who goes, and it is never a worker that holds a
task.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.integration.operator.world import Json, World, world
from tests.servers.kube import KubeApiserver, kube_apiserver

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.queue.envelope import SettleKind, Settlement


@pytest.fixture(scope="module")
def full_kube() -> Iterator[KubeApiserver]:
    with kube_apiserver(controller_manager=True) as server:
        yield server


@pytest.fixture
async def here(full_kube: KubeApiserver, redis: RedisServer) -> AsyncIterator[World]:
    full_kube.create_namespace("shop")
    async with world(full_kube, redis.url, "shop") as made:
        made.start_operator()
        yield made


async def run_pods(here: World, count: int) -> list[str]:
    """What a scheduler and a kubelet would do for so many pods; their names."""
    pods = await here.until("Pod", lambda all_: len(alive(all_)) == count)
    names = [one["metadata"]["name"] for one in alive(pods)]
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"}
    await asyncio.gather(*(here.patch("Pod", name, {"status": ready}, sub="status") for name in names))
    return names


def alive(pods: list[Json]) -> list[Json]:
    return [one for one in pods if not one["metadata"].get("deletionTimestamp")]


async def test_a_pool_shrinks_by_its_idle_workers_and_ends_with_its_last_task(here: World) -> None:
    await here.add_pool("interactive", replicas=4)
    workers = await run_pods(here, 4)
    await here.condition("AgentPool", "interactive", "Ready", "True")
    queue = here.queue("interactive")
    await here.submit("interactive", 1)
    busy = workers[1]
    [claim] = await queue.claim(busy, 1, lease_ms=60_000)
    for worker in workers:
        await queue.claim(worker, 0 if worker == busy else 1, lease_ms=60_000)

    await here.patch("AgentPool", "interactive", {"spec": {"replicas": 1}})

    left = await here.until("Pod", lambda all_: len(alive(all_)) == 1)
    assert [one["metadata"]["name"] for one in alive(left)] == [busy]

    await here.delete("AgentPool", "interactive")
    await here.condition("AgentPool", "interactive", "Draining", "True")
    assert [one["metadata"]["name"] for one in alive(await here.items("Pod"))] == [busy]
    await queue.settle([Settlement(claim.envelope.id, claim.attempt, SettleKind.END)])

    await here.until_gone("AgentPool", "interactive")
    await here.until("Deployment", lambda all_: not all_)
    await here.until("Pod", lambda all_: not alive(all_))
