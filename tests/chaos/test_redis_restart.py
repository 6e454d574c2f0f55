"""Redis is killed with -9 and comes back while tasks run: claims and calls wait, nothing accepted is lost."""

import asyncio
import signal
from pathlib import Path

import pytest
from tests.integration.worker.rig import PUBLISHED, Fleet, output, simulated_provider, spent_and_held

from agentfleet_cli.local.redis_server import free_port, redis_server
from agentfleet_cli.simulator.behaviour import Behaviour
from agentfleet_core.settings import FleetId

TASKS = 40
AWAY_SECONDS = 1.5


@pytest.mark.timeout(120)
async def test_tasks_outlive_a_redis_that_is_killed(fleet_id: FleetId, tmp_path: Path) -> None:
    (tmp_path / "provider").mkdir()
    (tmp_path / "provider" / "api-key").write_text("key")
    data, port = tmp_path / "redis", free_port()
    data.mkdir()
    async with simulated_provider(Behaviour(seed=3, seconds=0.2)) as (simulator, url):
        with redis_server(folder=data, port=port) as first:
            fleet = Fleet(first, fleet_id, url, tmp_path)
            fleet.prices = PUBLISHED
            fleet.handler("three_calls")
            await fleet.publish()
            tasks = [await fleet.submit("three-calls", label=f"t{number}") for number in range(TASKS)]
            async with fleet.worker():
                await fleet.event(tasks[8], "step")  # the second eight have begun
                first.process.send_signal(signal.SIGKILL)
                first.process.wait()
                await asyncio.sleep(AWAY_SECONDS)
                with redis_server(folder=data, port=port):
                    records = [await fleet.ended(task) for task in tasks]
                    assert [output(record)["label"] for record in records] == [f"t{n}" for n in range(TASKS)]
                    assert await fleet.queue.audit()
                    spent, held = await spent_and_held(fleet)
                    assert held == 0
                    assert simulator.bill.total.nano_usd <= spent
                    await fleet.close()
