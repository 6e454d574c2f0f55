"""Forks processes that spend as workers do: reserve, mark sent, pay the provider, settle. They may be killed.

Each line of stdin, a JSON object, becomes a process, whose id is printed. The provider is a counter in the
same Redis, paid by a plain INCRBY between `sent` and `settle`: the truth that the ledger is held against. One
who finds the budget exhausted says so in the list `done` and ends.
"""

import asyncio
import json
import os
import random
import signal
import sys
from typing import Any

from redis.asyncio import Redis

from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import LimitWindow, Reserved
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.settings import FleetId

LEASE_MS = 600_000
CALLERS = 8


async def spend(redis: Redis, ledger: RedisLedger, order: dict[str, Any], caller: int) -> None:
    draw = random.Random(f"{order['name']}-{caller}")
    limits = [LimitWindow(name, amount, 0, 0) for name, amount in order["limits"].items()]
    call = 0
    while True:
        call += 1
        amount = draw.randrange(1, order["largest"])
        chosen = limits if draw.random() < 0.7 else limits[:1]
        hold_id = f"{order['name']}/{caller}/{call}"
        answer = await ledger.reserve("acme", hold_id, amount, chosen, lease_ms=LEASE_MS)
        if not isinstance(answer, Reserved):
            if answer.by_holds:
                continue
            return
        if draw.random() < 0.05:
            await ledger.release(answer.hold)
        elif await ledger.mark_sent(answer.hold):
            cost = draw.randrange(0, amount + 1)
            await redis.incrby(order["bill"], cost)
            await ledger.settle(answer.hold, cost)
            if draw.random() < 0.05:
                await ledger.settle(answer.hold, cost)


async def run(order: dict[str, Any]) -> None:
    async with connect(order["url"]) as redis:
        ledger = RedisLedger(redis, FleetId(*order["fleet"]))
        await asyncio.gather(*(spend(redis, ledger, order, caller) for caller in range(CALLERS)))
        await redis.rpush(order["done"], order["name"])


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            asyncio.run(run(json.loads(line)))
            os._exit(0)
        print(process, flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
