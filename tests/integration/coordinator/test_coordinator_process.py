"""The coordinator as it is shipped: a process that is started, told to stop, and cannot always start."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from tests.servers.coordinator import ACME_KEY, fleet_config, refund, until

from agentfleet_cli.local.redis_server import RedisServer, free_port
from agentfleet_core.fleet.store import publish
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.keys import FleetKeys
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


async def test_sigterm_ends_streams_and_then_the_process(redis: RedisServer, fleet_id: FleetId) -> None:
    store = connect(redis.url)
    await publish(store, FleetKeys(fleet_id), fleet_config(fleet_id), term=1)
    await store.aclose()
    port = free_port()
    headers = {"authorization": f"Bearer {ACME_KEY}"}
    with process(redis.url, fleet_id, port) as running:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False
        ) as http:

            async def serves() -> bool:
                try:
                    return (await http.get("/readyz")).status_code == 200
                except httpx.ConnectError:
                    return False

            await until(serves)
            task = (await http.post("/v1/tasks", json=refund())).json()
            async with http.stream("GET", f"/v1/tasks/{task['id']}/events") as answer:
                lines = answer.aiter_lines()
                assert await anext(lines) == "retry: 1000"
                running.send_signal(signal.SIGTERM)
                assert [line async for line in lines if line] == []

        _, log = running.communicate(timeout=20)

    assert running.returncode == 0, log
    assert [json.loads(line)["level"] for line in log.splitlines()] == ["info"]


def test_without_redis_it_says_so_in_one_line(fleet_id: FleetId) -> None:
    with process("redis://127.0.0.1:1/0", fleet_id, free_port()) as running:
        _, log = running.communicate(timeout=20)

    assert running.returncode == 1
    assert log.startswith("the coordinator cannot start: Redis cannot be reached")
    assert log.count("\n") == 1
