"""Two operators run and one acts; a killed leader is replaced, one that stops in peace hands over at once."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime

import httpx
import pytest
from tests.integration.operator.world import FAST_LEASE, Json, World, world
from tests.servers.coordinator import until
from tests.servers.kube import KubeApiserver

from agentfleet_cli.local.redis_server import RedisServer, free_port
from agentfleet_core.fleet.store import read_config
from agentfleet_core.keyspace.keys import FleetKeys

LEASE = "agentfleet-operator"
LOOK_SECONDS = 0.05


@pytest.fixture
async def here(kube: KubeApiserver, redis: RedisServer, namespace: str) -> AsyncIterator[World]:
    async with world(kube, redis.url, namespace) as made:
        yield made


async def leader(here: World, *, other_than: str = "") -> Json:
    def led(lease: Json) -> bool:
        holder = lease["spec"].get("holderIdentity")
        return bool(holder) and holder != other_than

    spec: Json = (await here.until_one("Lease", LEASE, led))["spec"]
    return spec


async def follower(here: World, name: str) -> None:
    """Another operator, which by now has seen everything and looks at the Lease."""
    port = free_port()
    here.start_operator(name, AGENTFLEET_METRICS_PORT=str(port))

    async def is_ready() -> bool:
        try:
            return (await here.http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    await until(is_ready)


class Withheld:
    """How long this machine kept a process that wanted to run from running; a busy one is late by so much."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            asleep = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
            self.seconds += time.monotonic() - asleep - LOOK_SECONDS

    def stop(self) -> float:
        self._looking.cancel()
        return self.seconds


def seconds_between(before: Json, after: Json) -> float:
    """From a leader's last renewal to the next one's start, by their own records."""
    renewed, acquired = (datetime.fromisoformat(text) for text in (before["renewTime"], after["acquireTime"]))
    return (acquired - renewed).total_seconds()


async def test_a_killed_leader_is_replaced_within_its_lease_and_two_retries(here: World) -> None:
    first = here.start_operator("first")
    before = await leader(here)
    await follower(here, "second")
    await here.add_pool("interactive")
    await here.deployment_of("interactive", lambda one: True)

    first.kill()
    withheld = Withheld()
    last = (await here.until_one("Lease", LEASE, lambda one: True))["spec"]
    after = await leader(here, other_than=before["holderIdentity"])
    within = float(FAST_LEASE["AGENTFLEET_LEASE_SECONDS"]) + 2 * float(FAST_LEASE["AGENTFLEET_RETRY_SECONDS"])
    assert seconds_between(last, after) <= within + withheld.stop()

    assert after["leaseTransitions"] == before["leaseTransitions"] + 1
    await here.submit("interactive")
    await here.deployment_of("interactive", lambda one: one["spec"]["replicas"] == 1)
    config = await read_config(here.redis, FleetKeys(here.fleet_id))
    assert config.term == after["leaseTransitions"]


async def test_a_leader_that_is_told_to_stop_hands_over_at_once(here: World) -> None:
    first = here.start_operator("first")
    before = await leader(here)
    second = here.start_operator("second")

    first.process.terminate()

    assert await first.ended() == 0
    after = await leader(here, other_than=before["holderIdentity"])
    assert after["leaseTransitions"] == before["leaseTransitions"] + 1
    assert second.process.poll() is None


async def test_a_leader_whose_lease_was_taken_ends(here: World) -> None:
    first = here.start_operator("first")
    before = await leader(here)

    await here.patch("Lease", LEASE, {"spec": {"holderIdentity": "usurper", "leaseTransitions": 9}})

    assert before["holderIdentity"] != "usurper"
    assert await first.ended() == 1
    assert "no longer leads" in first.log.read_text()


async def test_a_lease_that_was_deleted_does_not_lock_the_config(here: World) -> None:
    first = here.start_operator("first")
    await leader(here)
    patched = await here.patch("Lease", LEASE, {"spec": {"leaseTransitions": 41}})
    written = patched["spec"]["renewTime"]
    await here.until_one("Lease", LEASE, lambda one: one["spec"]["renewTime"] != written)
    await here.add_pool("interactive")
    await here.deployment_of("interactive", lambda one: True)
    keys = FleetKeys(here.fleet_id)
    first.process.terminate()
    await first.ended()
    assert (await read_config(here.redis, keys)).term == 41
    await here.delete("Lease", LEASE)

    here.start_operator("second")
    await here.add_pool("batch")
    await here.deployment_of("batch", lambda one: True)
    await here.condition("AgentPool", "batch", "Accepted", "True")
    await here.until_one("Lease", LEASE, lambda one: one["spec"]["leaseTransitions"] == 42)

    config = await read_config(here.redis, keys)
    assert "batch" in config.pools
    assert config.term == 42
