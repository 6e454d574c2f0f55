"""The API server or Redis goes away and comes back: tasks flow on, nothing shrinks, and the operator goes on
by itself.
"""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psutil
import pytest
from tests.integration.operator.world import World, world
from tests.servers.kube import KubeApiserver, kube_apiserver

from agentfleet_cli.local.redis_server import RedisServer, redis_server
from agentfleet_core.queue.envelope import SettleKind, Settlement, SettleOutcome

pytestmark = pytest.mark.xdist_group("operator-outages")


PATIENT_LEASE = {"AGENTFLEET_LEASE_SECONDS": "60", "AGENTFLEET_RENEW_DEADLINE_SECONDS": "50"}


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """One that may be stopped: no other test talks to it."""
    with redis_server(append_only=False) as server:
        yield server


@contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    """It answers nobody, as a lost machine does: connections stay open and hang."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def own_kube() -> Iterator[KubeApiserver]:
    with kube_apiserver() as server:
        yield server


@pytest.fixture
async def here(own_kube: KubeApiserver, own_redis: RedisServer) -> AsyncIterator[World]:
    namespace = f"outage-{own_redis.port}"
    own_kube.create_namespace(namespace)
    async with world(own_kube, own_redis.url, namespace) as made:
        yield made


def apiserver(kube: KubeApiserver) -> psutil.Process:
    [found] = [
        one
        for one in psutil.process_iter(["cmdline"])
        if any(part == f"--audit-log-path={kube.audit_log}" for part in one.info["cmdline"] or ())
    ]
    return found


async def test_without_the_api_server_tasks_flow_and_afterwards_another_leads(here: World) -> None:
    first = here.start_operator("first")
    await here.add_pool("interactive", replicas=1)
    await here.deployment_of("interactive", lambda one: one["spec"]["replicas"] == 1)
    await here.until("Lease", lambda leases: leases)
    second = here.start_operator("second")
    queue = here.queue("interactive")

    with frozen(apiserver(here.kube)):
        assert await first.ended() == 1, "a leader that cannot renew its Lease must not act on"
        await here.submit("interactive")
        [claim] = await queue.claim("worker-a", 1, lease_ms=10_000)
        ended = await queue.settle([Settlement(claim.envelope.id, claim.attempt, SettleKind.END)])
        assert ended == [SettleOutcome.DONE]
        assert second.process.poll() is None, "a standby outlives the API server's absence"

    await here.add_pool("batch", replicas=2)
    await here.deployment_of("batch", lambda one: one["spec"]["replicas"] == 2)
    assert second.process.poll() is None


async def test_deletions_while_no_watch_could_see_them_are_noticed(here: World) -> None:
    await here.add_pool("interactive", replicas=1)
    operator = here.start_operator("first", **PATIENT_LEASE)
    made = await here.deployment_of("interactive", lambda one: one["spec"]["replicas"] == 1)
    await here.condition("AgentPool", "interactive", "Accepted", "True")

    with frozen(psutil.Process(operator.process.pid)):
        await here.delete("Deployment", made["metadata"]["name"])

    again = await here.deployment_of(
        "interactive", lambda one: one["metadata"]["uid"] != made["metadata"]["uid"]
    )
    assert again["spec"]["replicas"] == 1


async def test_without_redis_nothing_shrinks_and_afterwards_it_does(
    here: World, own_redis: RedisServer
) -> None:
    operator = here.start_operator("first")
    await here.add_pool("interactive", scaling={"stabilizationSeconds": 0, "idleSecondsToZero": 2})
    await here.submit("interactive")
    made = await here.deployment_of("interactive", lambda one: one["spec"]["replicas"] == 1)
    await here.report_ready(made, 1)
    [claim] = await here.queue("interactive").claim("worker-a", 1, lease_ms=10_000)
    await here.queue("interactive").settle([Settlement(claim.envelope.id, claim.attempt, SettleKind.END)])

    with frozen(psutil.Process(own_redis.process.pid)):
        await operator.logged("nothing shrinks")
        await here.add_pool("batch")
        await here.deployment_of("batch", lambda one: one["spec"]["replicas"] == 0)
        await here.deployment_of("interactive", lambda one: one["spec"]["replicas"] == 1)

    await here.deployment_of("interactive", lambda one: one["spec"]["replicas"] == 0, seconds=60)
    await here.submit("batch")
    await here.deployment_of("batch", lambda one: one["spec"]["replicas"] == 1)
