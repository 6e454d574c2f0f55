"""Processes that spend a tenant's money are killed at random: no limit is passed, no payment is lost."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import Balance, Hold, LimitWindow
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.settings import FleetId

SPENDER = Path(__file__).with_name("ledger_spender.py")
PROCESSES = int(os.environ.get("AGENTFLEET_SPENDERS", "4"))
KILLS = int(os.environ.get("AGENTFLEET_KILLS", "16"))
SEED = int(os.environ.get("AGENTFLEET_SEED", "1"))
LARGEST = 4_000
LIMITS = {"day": 2_500_000, "research": 2_000_000, "month": 9_000_000}
WINDOWS = [LimitWindow(name, amount, 0, 0) for name, amount in LIMITS.items()]


class Spenders:
    """The processes, and the eye that watches every limit while they run."""

    def __init__(self, redis: Redis, fleet: FleetId, url: str, server: asyncio.subprocess.Process) -> None:
        self.redis = redis
        self.ledger = RedisLedger(redis, fleet)
        self._server = server
        self._order = {
            "url": url,
            "fleet": [fleet.install, fleet.namespace],
            "limits": LIMITS,
            "largest": LARGEST,
            "bill": f"bill:{fleet.namespace}",
            "done": f"done:{fleet.namespace}",
        }
        self.running: dict[str, int] = {}

    async def start(self, name: str) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({**self._order, "name": name}).encode() + b"\n")
        self.running[name] = int(await self._server.stdout.readline())

    def kill(self, name: str) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.running.pop(name), signal.SIGKILL)

    async def balances(self) -> list[Balance]:
        """Whenever anybody looks, spent + held is within every limit."""
        balances = await self.ledger.balances("acme", WINDOWS)
        for balance in balances:
            assert balance.spent + balance.held <= balance.limit.amount
        return balances

    async def until_spent(self, more: int) -> None:
        start = (await self.balances())[0].spent
        while (await self.balances())[0].spent < start + more and not await self.redis.exists(
            self._order["done"]
        ):
            pass

    async def end_leases_of_the_dead(self) -> None:
        leases = await self.redis.zrange(self.ledger.keys("acme").leases, 0, -1)
        ids = [each.decode() for each in leases if each.decode().partition("/")[0] not in self.running]
        await self.ledger.extend([Hold(each, "acme", 0, ()) for each in ids], lease_ms=0)

    async def until_exhausted(self) -> None:
        for _ in range(len(self.running)):
            await self.end_leases_of_the_dead()
            assert await self.redis.blpop([self._order["done"]], timeout=4) is not None
            await self.balances()

    async def bill(self) -> int:
        return int(await self.redis.get(self._order["bill"]) or 0)


@pytest.fixture
async def spenders(redis: RedisServer, fleet_id: FleetId) -> AsyncIterator[Spenders]:
    server = await asyncio.create_subprocess_exec(
        sys.executable, SPENDER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    async with connect(redis.url) as client:
        spenders = Spenders(client, fleet_id, redis.url, server)
        yield spenders
        for name in list(spenders.running):
            spenders.kill(name)
    assert server.stdin is not None
    server.stdin.close()
    await server.wait()


@pytest.mark.timeout(60)
async def test_killed_spenders_pass_no_limit_and_lose_no_payment(spenders: Spenders) -> None:
    draw = random.Random(SEED)
    for number in range(PROCESSES):
        await spenders.start(f"spender-{number}")
    for kill in range(KILLS):
        await spenders.until_spent(draw.randrange(10_000, 100_000))
        spenders.kill(draw.choice(list(spenders.running)))
        await spenders.start(f"successor-{kill}")
    await spenders.until_exhausted()
    spenders.running.clear()
    await spenders.end_leases_of_the_dead()
    await spenders.ledger.sweep("acme")

    balances = {balance.limit.name: balance for balance in await spenders.balances()}
    day = balances["day"]
    assert [balance.held for balance in balances.values()] == [0, 0, 0]
    assert day.unconfirmed > 0, "no kill hit a call under way: the story was not told"
    assert day.spent - day.unconfirmed <= await spenders.bill() <= day.spent
    assert min(balance.remaining for balance in balances.values()) < LARGEST
