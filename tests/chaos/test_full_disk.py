"""The disk under Redis is full: submits are refused with the reason, workers wait, and nothing is lost."""

import asyncio
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.worker.rig import PUBLISHED, Fleet, output, simulated_provider, spent_and_held
from tests.servers.coordinator import refund, running_coordinator, until

from agentfleet_cli.local.redis_server import RedisServer, find_redis, redis_server
from agentfleet_cli.simulator.behaviour import Behaviour
from agentfleet_core.errors import Unavailable
from agentfleet_core.settings import FleetId

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone sets another process's limits")

TASKS = 30


class Disk:
    """What Redis can write: the size of its files is limited to what they have, as a full disk would."""

    def __init__(self, server: RedisServer) -> None:
        self._pid = server.process.pid

    @contextmanager
    def full(self) -> Iterator[None]:
        most = resource.RLIM_INFINITY
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (0, most))
        try:
            yield
        finally:
            resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (most, most))


@pytest.fixture
def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """One that is told of a full disk by an error, not ended by a signal."""
    server = tmp_path / "server"
    server.write_text(f'#!/bin/sh\ntrap "" XFSZ\nexec {find_redis()} "$@"\n')
    server.chmod(0o755)
    monkeypatch.setenv("AGENTFLEET_REDIS_SERVER", str(server))
    (tmp_path / "redis").mkdir()
    with redis_server(folder=tmp_path / "redis") as running:
        yield running


async def test_a_submit_is_refused_with_the_reason_until_there_is_room(
    redis: RedisServer, fleet_id: FleetId
) -> None:
    async with running_coordinator(redis, fleet_id) as coordinator:
        acme, before = coordinator.acme, await coordinator.submitted()
        with Disk(redis).full():

            async def refused() -> bool:
                return (await acme.post("/v1/tasks", json=refund())).status_code != 201

            await until(refused)
            answer = await acme.post("/v1/tasks", json=refund(idempotency_key="k"))
            assert (answer.status_code, answer.json()["title"]) == (503, "Unavailable"), answer.text
            assert "MISCONF" in answer.json()["detail"]
            assert int(answer.headers["retry-after"]) > 0
            batch = await acme.post("/v1/tasks/batch", json={"tasks": [refund(), refund()]})
            assert [item["status"] for item in batch.json()["items"]] == [503, 503]
            found = await acme.get(f"/v1/tasks/{before['id']}")
            assert (found.status_code, found.json()["state"]) == (200, "queued")

        async def accepted() -> bool:
            return (await acme.post("/v1/tasks", json=refund(idempotency_key="k"))).status_code == 201

        await until(accepted)
        assert (await acme.post("/v1/tasks", json=refund(idempotency_key="k"))).status_code == 200
        assert await coordinator.queue().audit(deep=True)


@pytest.mark.timeout(120)
async def test_tasks_wait_for_room_and_go_on(redis: RedisServer, fleet_id: FleetId, tmp_path: Path) -> None:
    (tmp_path / "provider").mkdir()
    (tmp_path / "provider" / "api-key").write_text("key")
    async with simulated_provider(Behaviour(seed=3, seconds=0.1)) as (simulator, url):
        fleet = Fleet(redis, fleet_id, url, tmp_path)
        fleet.prices = PUBLISHED
        fleet.handler("three_calls")
        await fleet.publish()
        tasks = [await fleet.submit("three-calls", label=f"t{number}") for number in range(TASKS)]
        async with fleet.worker():
            await fleet.event(tasks[8], "step")  # the second eight have begun
            with Disk(redis).full():

                async def no_room() -> bool:
                    try:
                        await fleet.submit("three-calls", label="late")
                    except Unavailable:
                        return True
                    return False

                await until(no_room)
                await asyncio.sleep(2.0)  # the calls under way end in this time, and find no room
            records = [await fleet.ended(task) for task in tasks]
            assert [output(record)["label"] for record in records] == [f"t{n}" for n in range(TASKS)]
        spent, held = await spent_and_held(fleet)
        assert held == 0
        assert simulator.bill.total.nano_usd <= spent
        assert await fleet.queue.audit(deep=True)
        await fleet.close()


async def test_what_was_accepted_is_there_after_a_restart(
    redis: RedisServer, fleet_id: FleetId, tmp_path: Path
) -> None:
    (tmp_path / "provider").mkdir()
    fleet = Fleet(redis, fleet_id, "http://127.0.0.1:1", tmp_path)
    fleet.handler("three_calls")
    tasks = [await fleet.submit("three-calls", label="kept")]
    with Disk(redis).full():
        for _ in range(10_000):
            try:
                tasks.append(await fleet.submit("three-calls", label="kept"))
            except Unavailable:
                break
    while True:
        try:
            tasks.append(await fleet.submit("three-calls", label="kept"))
            break
        except Unavailable:
            await asyncio.sleep(0.05)
    await fleet.close()
    redis.process.terminate()
    redis.process.wait()
    with redis_server(folder=tmp_path / "redis") as again:
        fleet = Fleet(again, fleet_id, "http://127.0.0.1:1", tmp_path)
        assert all(record is not None for record in await fleet.queue.get(tasks))
        await fleet.close()
