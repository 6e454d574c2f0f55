"""Redis stalls for longer than a command may take: what was sent twice counts once, no payment is lost."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Iterator

import pytest

from agentfleet_cli.local.redis_server import RedisServer, redis_server
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import Hold, LimitWindow, Reserved
from agentfleet_core.errors import Unavailable
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.settings import FleetId

FLEET = FleetId("test", "stall")
LIMITS = (LimitWindow("day", 400_000, 0, 0), LimitWindow("month", 900_000, 0, 0))
LARGEST = 2_000
PATIENCE_SECONDS = 0.1
STALL_SECONDS = 0.25
"""Longer than a command's patience, shorter than all its retries: each command under way is sent again."""
STALLS = 4


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with redis_server(append_only=False) as server:
        yield server


class Spender:
    """Callers that pay a provider, which never stalls: its bill is a number in this process."""

    def __init__(self, ledger: RedisLedger) -> None:
        self._ledger = ledger
        self.bill = 0
        self.operations = 0
        self._awaited = 0.0
        self._billed = asyncio.Event()

    async def until_billed(self, amount: float) -> None:
        self._awaited = amount
        self._billed.clear()
        await self._billed.wait()

    async def spend(self, caller: int) -> None:
        draw = random.Random(caller)
        call = 0
        while True:
            call += 1
            amount = draw.randrange(1, LARGEST)
            hold = await self._reserve(f"{caller}/{call}", amount)
            if hold is None:
                return
            if await self._retried(lambda hold=hold: self._ledger.mark_sent(hold)):
                cost = draw.randrange(0, amount + 1)
                self._pay(cost)
                await self._retried(lambda hold=hold, cost=cost: self._ledger.settle(hold, cost))

    def _pay(self, cost: int) -> None:
        self.bill += cost
        if self.bill >= self._awaited:
            self._billed.set()

    async def _reserve(self, hold_id: str, amount: int) -> Hold | None:
        """None when the budget is exhausted."""
        while True:
            answer = await self._retried(
                lambda: self._ledger.reserve("acme", hold_id, amount, LIMITS, lease_ms=600_000)
            )
            if isinstance(answer, Reserved):
                return answer.hold
            if not answer.by_holds:
                return None

    async def _retried(self, operation):
        self.operations += 1
        while True:
            with contextlib.suppress(Unavailable):
                return await operation()


async def test_commands_that_a_stalled_redis_got_twice_count_once(own_redis: RedisServer) -> None:
    async with connect(own_redis.url, command_seconds=PATIENCE_SECONDS) as redis:
        ledger = RedisLedger(redis, FLEET)
        spender = Spender(ledger)
        callers = [asyncio.create_task(spender.spend(number)) for number in range(12)]
        for stall in range(1, STALLS + 1):
            await spender.until_billed(stall * LIMITS[0].amount / (STALLS + 2))
            os.kill(own_redis.process.pid, signal.SIGSTOP)
            await asyncio.sleep(STALL_SECONDS)
            os.kill(own_redis.process.pid, signal.SIGCONT)
        await asyncio.gather(*callers)
        commands = await redis.info("commandstats")
        day, month = await ledger.balances("acme", LIMITS)
    assert day.held == month.held == 0
    assert day.spent == month.spent == spender.bill <= LIMITS[0].amount
    assert day.unconfirmed == 0
    assert day.remaining < LARGEST
    assert commands["cmdstat_evalsha"]["calls"] > spender.operations + STALLS, "nothing was sent twice"
