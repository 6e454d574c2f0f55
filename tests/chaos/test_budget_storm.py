"""Many tasks in many workers spend one budget to its end: the provider's own bill never passes it.

The bill is the simulator's, which shares no code with the ledger. What is left at the end would not have paid
for one more worst case; when the limit is raised, everything parked goes on by itself.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.worker.rig import POOL, Fleet, simulated_provider

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_cli.simulator.behaviour import Behaviour
from agentfleet_cli.simulator.server import Simulator
from agentfleet_core.api.v1alpha1 import ModelTierSpec
from agentfleet_core.budget.limits import Balance
from agentfleet_core.budget.money import decimal_usd
from agentfleet_core.budget.prices import Demand, rates_of, worst_case
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.settings import FleetId

TASKS = int(os.environ.get("AGENTFLEET_STORM_TASKS", "200"))
WORKERS = int(os.environ.get("AGENTFLEET_STORM_WORKERS", "8"))
SEED = int(os.environ.get("AGENTFLEET_SEED", "1"))
CALLS_PER_TASK = 4
LARGEST_PROMPT = 8_000
LARGEST_OUTPUT = 900
ENVELOPE_BYTES = 600
"""What a request is beside its prompt, at most."""
WORST_CASES = 50
TIER = ModelTierSpec.model_validate(
    {
        "rank": 1,
        "models": [
            {
                "name": "claude-haiku-5-5",
                "prices": [
                    {
                        "effectiveFrom": "2026-10-07",
                        "bands": [
                            {
                                "maxPromptTokens": 100_000,
                                "input": "0.10",
                                "output": "0.50",
                                "cacheRead": "0.01",
                                "cacheWrite5m": "0.125",
                                "cacheWrite1h": "0.20",
                            },
                            {
                                "input": "0.50",
                                "output": "2.50",
                                "cacheRead": "0.05",
                                "cacheWrite5m": "0.625",
                                "cacheWrite1h": "1.00",
                            },
                        ],
                    }
                ],
            }
        ],
    }
)
RATES = rates_of(TIER.models[0], datetime.now(UTC))
WORST = worst_case(Demand(LARGEST_PROMPT + ENVELOPE_BYTES, LARGEST_OUTPUT), RATES)
LIMIT = WORST_CASES * WORST


class StormFleet(Fleet):
    """One tier at published prices, so that the simulator's bill is in the same money."""

    def config(self) -> FleetConfig:
        config = super().config()
        provider = config.tiers["fast"].provider
        return config.model_copy(update={"tiers": {"fast": TIER.model_copy(update={"provider": provider})}})

    def limit(self, nano: int) -> None:
        self.tenant("acme", {"name": "total", "period": "Total", "amount": decimal_usd(nano)})

    async def balance(self) -> Balance:
        windows = all_windows(self.config().tenants["acme"].spec, datetime.now(UTC))
        (balance,) = await self.ledger.balances("acme", windows)
        return balance


@dataclass
class Storm:
    fleet: StormFleet
    provider: Simulator

    @property
    def bill(self) -> int:
        return self.provider.bill.total.nano_usd

    async def watch(self) -> None:
        """Until cancelled: whenever anybody looks, nobody has passed the limit."""
        while True:
            balance = await self.fleet.balance()
            assert balance.spent + balance.held <= LIMIT
            assert self.bill <= LIMIT
            await asyncio.sleep(0.01)

    async def until_all_that_can_has_run(self) -> None:
        while True:
            counters = await self.fleet.queue.counters()
            at_rest = counters.running == counters.waiting == counters.due == 0
            if at_rest and (counters.blocked_tenants or not counters.parked):
                return
            await asyncio.sleep(0.05)


@pytest.fixture
async def storm(redis: RedisServer, fleet_id: FleetId, tmp_path: Path) -> AsyncIterator[Storm]:
    key = tmp_path / "provider" / "api-key"
    key.parent.mkdir()
    key.write_text("key-of-the-fleet")
    behaviour = Behaviour(seed=SEED, seconds=0.02, events=2, keys=("key-of-the-fleet",))
    async with simulated_provider(behaviour) as (provider, url):
        fleet = StormFleet(redis, fleet_id, url, tmp_path)
        fleet.pool(concurrency=TASKS // WORKERS)
        fleet.type("converse", handler="tests.chaos.storm_handlers:converse", tier={"default": "fast"})
        fleet.limit(LIMIT)
        await fleet.publish()
        yield Storm(fleet, provider)
        await fleet.close()


@pytest.fixture
async def workers(storm: Storm) -> AsyncIterator[None]:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agentfleet_worker.forkserver",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert server.stdin is not None
    assert server.stdout is not None
    for number in range(WORKERS):
        order = {"op": "spawn", "id": f"w{number}", "env": environment(storm.fleet, f"w{number}")}
        server.stdin.write(json.dumps(order).encode() + b"\n")
    for _ in range(1 + WORKERS):
        assert json.loads(await server.stdout.readline())["event"] in ("ready", "started")
    yield
    server.stdin.close()
    await server.stdout.read()
    assert await server.wait() == 0


def environment(fleet: Fleet, worker: str) -> dict[str, str]:
    return {
        "AGENTFLEET_REDIS_URL": fleet.url,
        "AGENTFLEET_INSTALL": fleet.id.install,
        "AGENTFLEET_NAMESPACE": fleet.id.namespace,
        "AGENTFLEET_POOL": POOL,
        "AGENTFLEET_REVISION": "r1",
        "AGENTFLEET_WORKER_ID": worker,
        "AGENTFLEET_SECRETS_DIR": str(fleet.secrets),
        "AGENTFLEET_METRICS_PORT": "0",
        "AGENTFLEET_GRACE_SECONDS": "5",
    }


def conversation(draw: random.Random) -> list[dict[str, Any]]:
    """Calls of mixed sizes, each of which the simulator answers as it is told to."""
    calls = []
    for _ in range(CALLS_PER_TASK):
        most = draw.randrange(50, LARGEST_OUTPUT)
        told = f"sim:{json.dumps({'text': 'Well.', 'tokens': draw.randrange(20, most)})}"
        filling = "word " * (draw.randrange(100, LARGEST_PROMPT - len(told) - 5) // 5)
        calls.append({"prompt": filling + told, "most": most})
    return calls


@pytest.mark.timeout(110)
async def test_a_storm_of_tasks_spends_a_budget_to_its_end_and_no_further(
    storm: Storm, workers: None
) -> None:
    draw = random.Random(SEED)
    tasks = [await storm.fleet.submit("converse", calls=conversation(draw)) for _ in range(TASKS)]
    async with asyncio.TaskGroup() as watched:
        watching = watched.create_task(storm.watch())
        await storm.until_all_that_can_has_run()
        watching.cancel()

    spent = await storm.fleet.balance()
    assert spent.held == 0
    assert storm.bill <= spent.spent <= LIMIT
    assert spent.spent - spent.unconfirmed <= storm.bill
    assert spent.remaining < WORST, "more than one worst case was left unused"

    storm.fleet.limit(100 * LIMIT)
    await storm.fleet.publish()
    ended = [await storm.fleet.ended(task) for task in tasks]
    assert {record.state for record in ended} == {"succeeded"}
    last = await storm.fleet.balance()
    assert last.held == 0
    assert last.spent - last.unconfirmed <= storm.bill <= last.spent
