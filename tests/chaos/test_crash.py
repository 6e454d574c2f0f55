"""Workers are killed with -9 all the time: every task ends once, and nothing journaled is paid for again.

CRASH_TASKS, CRASH_KILLS and CRASH_SEED make longer or other runs of it.
"""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.worker.rig import PUBLISHED, Fleet, output

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.budget.limits import Balance
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.settings import FleetId

TASKS = int(os.environ.get("CRASH_TASKS", "500"))
KILLS = int(os.environ.get("CRASH_KILLS", "100"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
WORKERS = 4
LEASE_SECONDS = 2.0
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def program(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """A process that speaks JSON lines, and its first one. The end of its stdin ends it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, json.loads(await process.stdout.readline())
    finally:
        process.stdin.close()
        await process.communicate()


class Victims:
    """Keeps WORKERS workers alive, and kills them."""

    def __init__(self, fleet: Fleet, server: asyncio.subprocess.Process) -> None:
        self.kills: Counter[str] = Counter()
        self._fleet = fleet
        self._server = server
        self._random = random.Random(SEED)
        self._alive: dict[str, bool] = {}
        """Worker to whether we have killed it."""
        self._started = 0

    @property
    def enough(self) -> bool:
        return self.kills.total() >= KILLS and self.kills["forced"] >= KILLS // 5

    async def run(self) -> None:
        """Until cancelled. Once enough of them are dead, no further one is killed, and the last finish the
        work.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                self._spawn()
            group.create_task(self._listen())
            while not self.enough:
                await asyncio.sleep(self._random.uniform(0.05, 0.2))
                victim = self._random.choice(list(self._alive))
                self._alive[victim] = True
                self._say(op="kill", id=victim)

    async def _listen(self) -> None:
        assert self._server.stdout is not None
        while True:
            report = json.loads(await self._server.stdout.readline())
            if report["event"] == "exited":
                assert report["code"] == -signal.SIGKILL, report
                self.kills["random" if self._alive.pop(report["id"]) else "forced"] += 1
                self._spawn()

    def _spawn(self) -> None:
        self._started += 1
        name = f"w{self._started}"
        self._alive[name] = False
        crashes = self._started % 2 == 0 and not self.enough
        self._say(
            op="spawn", id=name, env=self._environment(name, self._random.randint(1, 6) if crashes else 0)
        )

    def _environment(self, worker: str, crash_at_journal: int) -> dict[str, str]:
        return {
            "AGENTFLEET_REDIS_URL": self._fleet.url,
            "AGENTFLEET_INSTALL": self._fleet.id.install,
            "AGENTFLEET_NAMESPACE": self._fleet.id.namespace,
            "AGENTFLEET_POOL": "interactive",
            "AGENTFLEET_WORKER_ID": worker,
            "AGENTFLEET_SECRETS_DIR": str(self._fleet.secrets),
            "AGENTFLEET_METRICS_PORT": "0",
            "AGENTFLEET_LEASE_SECONDS": str(LEASE_SECONDS),
            "CRASH_AT_JOURNAL": str(crash_at_journal),
        }

    def _say(self, **order: Any) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(order).encode() + b"\n")


async def balance(fleet: Fleet) -> Balance:
    windows = all_windows(fleet.config().tenants["acme"].spec, datetime.now(UTC))
    (found,) = await fleet.ledger.balances("acme", windows)
    return found


async def settled(fleet: Fleet) -> Balance:
    """The balance once the leases of the dead have ended and were swept."""
    while (found := await balance(fleet)).held:
        await asyncio.sleep(0.1)
        await fleet.ledger.sweep("acme")
    return found


@pytest.mark.timeout(240)
async def test_killed_workers_lose_nothing_and_pay_nothing_twice(
    redis: RedisServer, fleet_id: FleetId, tmp_path: Path
) -> None:
    (tmp_path / "provider").mkdir()
    (tmp_path / "provider" / "api-key").write_text("key")
    simulator = ("-m", "agentfleet_cli.simulator", "--port", "0", "--until-stdin-ends", "--seconds", "0.1")
    async with (
        program(*simulator) as (_, ready),
        program("-m", "tests.chaos.crash_worker") as (server, _),
        httpx.AsyncClient(base_url=ready["url"], timeout=60) as provider,
    ):
        fleet = Fleet(redis, fleet_id, ready["url"], tmp_path)
        fleet.prices = PUBLISHED
        fleet.handler("three_calls", timeouts={"taskSeconds": 600}, retry={"maxAttempts": 100})
        await fleet.publish()
        tasks = {
            await fleet.submit("three-calls", label=f"t{number}"): f"t{number}" for number in range(TASKS)
        }
        victims = Victims(fleet, server)
        killing = asyncio.create_task(victims.run())
        records = [await fleet.ended(task) for task in tasks]
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)

        assert victims.kills.total() >= KILLS
        assert victims.kills["forced"] >= KILLS // 5
        assert [output(record)["label"] for record in records] == list(tasks.values())
        counters = await fleet.queue.counters()
        assert (counters.running, counters.waiting, counters.parked) == (0, 0, 0)
        assert await fleet.queue.audit()

        calls: dict[str, list[str]] = {}
        for call in (await provider.get("/sim/calls")).json()["calls"]:
            calls.setdefault(call["mark"], []).append(call["request_id"])
        for task, label in tasks.items():
            steps = await fleet.steps(task)
            for number in (1, 2, 3):
                journaled = steps[f"call-{number}"].result["id"].removeprefix("msg_sim_")
                # Calls before the journaled one died with their workers; there is none after it.
                assert calls[f"{label}/{number}"][-1].endswith(journaled)

        after = await settled(fleet)
        billed = (await provider.get("/sim/bill")).json()["nano_usd"]
        assert after.spent - after.unconfirmed <= billed <= after.spent
        await fleet.close()
