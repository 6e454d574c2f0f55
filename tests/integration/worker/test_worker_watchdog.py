"""Code that holds the interpreter's lock stops every thread of its process: the process is replaced, and what
it was doing counts as lost until the task is given up.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.worker.rig import POOL, Fleet, output, problem

ROOT = Path(__file__).parents[3]
LEASE_SECONDS = 0.6
LOSSES_BEFORE = 9
"""So many lost leases are forgiven, but for one."""


class Supervisor:
    """Keeps one worker alive, as a Deployment or local mode does."""

    def __init__(self, fleet: Fleet, server: asyncio.subprocess.Process) -> None:
        self.ends: list[int] = []
        self._fleet = fleet
        self._server = server

    async def run(self) -> None:
        assert self._server.stdout is not None
        self._spawn()
        while line := await self._server.stdout.readline():
            report = json.loads(line)
            if report["event"] == "exited":
                self.ends.append(report["code"])
                self._spawn()

    def _spawn(self) -> None:
        assert self._server.stdin is not None
        worker = f"w{len(self.ends) + 1}"
        order = {"op": "spawn", "id": worker, "env": self._environment(worker)}
        self._server.stdin.write(json.dumps(order).encode() + b"\n")

    def _environment(self, worker: str) -> dict[str, str]:
        return {
            "AGENTFLEET_REDIS_URL": self._fleet.url,
            "AGENTFLEET_INSTALL": self._fleet.id.install,
            "AGENTFLEET_NAMESPACE": self._fleet.id.namespace,
            "AGENTFLEET_POOL": POOL,
            "AGENTFLEET_WORKER_ID": worker,
            "AGENTFLEET_SECRETS_DIR": str(self._fleet.secrets),
            "AGENTFLEET_METRICS_PORT": "0",
            "AGENTFLEET_GRACE_SECONDS": "2",
            "AGENTFLEET_LEASE_SECONDS": str(LEASE_SECONDS),
        }


@asynccontextmanager
async def supervised(fleet: Fleet) -> AsyncIterator[Supervisor]:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agentfleet_worker.forkserver", env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert server.stdin is not None
    supervisor = Supervisor(fleet, server)
    running = asyncio.create_task(supervisor.run())
    try:
        yield supervisor
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.kill()  # its workers end with it, also one that hears no signal
        await server.communicate()


async def as_if_lost_before(fleet: Fleet, task_id: str, times: int) -> None:
    fields: dict[str | bytes, Any] = {"f": times, "l": times}
    await fleet.redis.hset(fleet.queue.calls.keys.task(task_id), mapping=fields)


@pytest.mark.timeout(100)
async def test_a_handler_that_holds_the_interpreter_ends_and_the_fleet_goes_on(fleet: Fleet) -> None:
    fleet.handler("match_forever", retry={"maxAttempts": 1})
    fleet.handler("greet")
    await fleet.publish()
    poison = await fleet.submit("match-forever", text="a" * 64 + "b")
    await as_if_lost_before(fleet, poison, LOSSES_BEFORE)
    async with supervised(fleet) as supervisor:
        await fleet.event(poison, "started")
        beside = await fleet.submit("greet", name="Ada")
        given_up = await fleet.ended(poison)
        assert output(await fleet.ended(beside)) == {"greeting": "Hello, Ada"}
        assert (given_up.state, given_up.reason) == ("dead", "WorkerLost")
        assert "no longer renewed its lease" in problem(given_up)["detail"]
        assert len(supervisor.ends) >= given_up.attempt
        assert set(supervisor.ends) == {1}, "ended by the watchdog, not by a drain"
    counters = await fleet.queue.counters()
    assert (counters.running, counters.waiting, counters.parked) == (0, 0, 0)
