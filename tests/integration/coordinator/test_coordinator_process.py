"""The coordinator as it is shipped: a process that is started, told to stop, and cannot always start."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pytest
from redis.asyncio import Redis
from tests.servers.coordinator import ACME_KEY, fleet_config, refund, until

from agentfleet import AsyncClient
from agentfleet_cli.local.redis_server import RedisServer, free_port
from agentfleet_core.fleet.store import publish
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId


@contextmanager
def process(redis_url: str, fleet: FleetId, port: int) -> Iterator["subprocess.Popen[str]"]:
    environment = os.environ | {
        "AGENTFLEET_REDIS_URL": redis_url,
        "AGENTFLEET_INSTALL": fleet.install,
        "AGENTFLEET_NAMESPACE": fleet.namespace,
        "AGENTFLEET_PORT": str(port),
        "AGENTFLEET_LOG_FORMAT": "json",
    }
    command = [sys.executable, "-m", "agentfleet_coordinator"]
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


async def serves(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


def connected(port: int) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {ACME_KEY}"}
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False)


@pytest.fixture
async def store(redis: RedisServer, fleet_id: FleetId) -> AsyncIterator[Redis]:
    """The fleet's Redis, with a config in it."""
    client = connect(redis.url)
    await publish(client, FleetKeys(fleet_id), fleet_config(fleet_id), term=1)
    yield client
    await client.aclose()


async def test_sigterm_ends_streams_and_then_the_process(
    redis: RedisServer, store: Redis, fleet_id: FleetId
) -> None:
    port = free_port()
    with process(redis.url, fleet_id, port) as running:
        async with connected(port) as http:
            await until(lambda: serves(http))
            task = (await http.post("/v1/tasks", json=refund())).json()
            async with http.stream("GET", f"/v1/tasks/{task['id']}/events") as answer:
                lines = answer.aiter_lines()
                assert await anext(lines) == "retry: 1000"
                running.send_signal(signal.SIGTERM)
                assert [line async for line in lines if line] == []

        _, log = running.communicate(timeout=20)

    assert running.returncode == 0, log
    assert [json.loads(line)["level"] for line in log.splitlines()] == ["info"]


async def test_killed_under_load_it_loses_and_doubles_nothing(
    redis: RedisServer, store: Redis, fleet_id: FleetId
) -> None:
    """Clients keep sending what was not answered, with the same keys, until another process takes over."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    accepted: list[str] = []
    many_are_in = asyncio.Event()

    async def submit(fleet: AsyncClient) -> None:
        task = await fleet.submit("refund-request", refund()["input"])
        accepted.append(task.id)
        if len(accepted) == 100:
            many_are_in.set()

    async def submits(fleet: AsyncClient) -> None:
        for _ in range(12):
            await submit(fleet)

    with process(redis.url, fleet_id, port) as first:
        async with connected(port) as http:
            await until(lambda: serves(http))
        async with AsyncClient(url, ACME_KEY, retries=12) as fleet:
            load = asyncio.gather(*(submits(fleet) for _ in range(40)))
            await many_are_in.wait()
            first.kill()
            with process(redis.url, fleet_id, port):
                await asyncio.wait_for(load, 60)

    assert len(accepted) == len(set(accepted)) == 480
    counters = await PoolQueue(store, fleet_id, "interactive").counters()
    assert (counters.waiting, counters.admitted_total) == (480, 480)


def test_without_redis_it_says_so_in_one_line(fleet_id: FleetId) -> None:
    with process("redis://127.0.0.1:1/0", fleet_id, free_port()) as running:
        _, log = running.communicate(timeout=20)

    assert running.returncode == 1
    assert log.startswith("the coordinator cannot start: Redis cannot be reached")
    assert log.count("\n") == 1
