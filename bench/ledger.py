"""The ledger under contention: one tenant with three limits, spent from by 16 processes at once.

A pair is a reserve, a mark-sent and a settle, each awaited, as a worker's call makes them. First saturated,
then at a steady rate: each pair starts when it is due, however many are under way. The loop's timers are good
to a millisecond, so its time counts from its start, and how late the starts were is said beside it. Redis
runs as shipped, with its append-only file. At the end the books must be right: nothing is held, and what is
spent is what the processes settled.

    python -m bench.ledger [--processes 16] [--callers 16] [--seconds 8] [--rate 1000] [--rounds 3]

The last line is JSON: pairs_per_s (saturated), pair_p50_ms and pair_p99_ms (at the rate), each the median of
the rounds.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import uvloop

from agentfleet_cli.local.redis_server import redis_server
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import LimitWindow, Reserved
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.settings import FleetId

FLEET = FleetId("bench", "default")
TENANT = "acme"
LIMITS = tuple(LimitWindow(name, 9_000_000_000_000_000, 0, 0) for name in ("day", "month", "research"))
HELD, COST, LEASE_MS = 40_000_000, 12_345_678, 15_000
START_SECONDS = 1.0
"""From the order to its start, so that all processes start together."""


@dataclass(frozen=True, slots=True)
class Order:
    """What every process does at the same time: at a rate (pairs/s of this process), or saturated when 0."""

    name: str
    start: float
    seconds: float
    rate: float
    callers: int


@dataclass(frozen=True, slots=True)
class Answer:
    pairs: int
    seconds: list[float]
    """Of each pair, when at a rate."""
    late: list[float]
    """How long after it was due each pair started."""


class Spender:
    def __init__(self, ledger: RedisLedger, process: int) -> None:
        self._ledger = ledger
        self._process = process
        self._numbers = itertools.count()

    async def pair(self) -> None:
        hold_id = f"{self._process}/{next(self._numbers)}/1"
        answer = await self._ledger.reserve(TENANT, hold_id, HELD, LIMITS, lease_ms=LEASE_MS)
        assert isinstance(answer, Reserved)
        assert await self._ledger.mark_sent(answer.hold)
        settled = await self._ledger.settle(answer.hold, COST)
        assert not settled.already

    async def saturate(self, order: Order) -> Answer:
        """Pairs done inside the time, counted where they end."""
        end = order.start + order.seconds
        done = 0

        async def caller() -> None:
            nonlocal done
            while time.monotonic() < end:
                await self.pair()
                done += time.monotonic() < end

        await asyncio.gather(*(caller() for _ in range(order.callers)))
        return Answer(done, [], [])

    async def at_rate(self, order: Order) -> Answer:
        seconds: list[float] = []
        late: list[float] = []

        async def one() -> None:
            start = time.monotonic()
            await self.pair()
            seconds.append(time.monotonic() - start)

        async with asyncio.TaskGroup() as pairs:
            for number in range(int(order.rate * order.seconds)):
                due = order.start + (number + self._process / 16) / order.rate
                await asyncio.sleep(due - time.monotonic())
                late.append(time.monotonic() - due)
                pairs.create_task(one())
        return Answer(len(seconds), seconds, late)


async def serve(url: str, process: int, parent: Connection) -> None:
    async with connect(url) as redis:
        spender = Spender(RedisLedger(redis, FLEET), process)
        await spender.pair()
        parent.send(1)
        while (order := await asyncio.to_thread(parent.recv)) is not None:
            await asyncio.sleep(order.start - time.monotonic())
            parent.send(await (spender.at_rate(order) if order.rate else spender.saturate(order)))


def process_main(url: str, process: int, parent: Connection) -> None:
    uvloop.run(serve(url, process, parent))


class Processes:
    def __init__(self, url: str, count: int, callers: int) -> None:
        context = multiprocessing.get_context("fork")
        self._callers = callers
        self._count = count
        self._pipes: list[Connection] = []
        self._running = []
        for number in range(count):
            ours, theirs = context.Pipe()
            running = context.Process(target=process_main, args=(url, number, theirs), daemon=True)
            running.start()
            self._pipes.append(ours)
            self._running.append(running)
        for pipe in self._pipes:
            pipe.recv()

    def run(self, name: str, seconds: float, rate: float) -> Answer:
        order = Order(name, time.monotonic() + START_SECONDS, seconds, rate / self._count, self._callers)
        for pipe in self._pipes:
            pipe.send(order)
        answers: list[Answer] = [pipe.recv() for pipe in self._pipes]
        return Answer(
            pairs=sum(answer.pairs for answer in answers),
            seconds=sorted(itertools.chain(*(answer.seconds for answer in answers))),
            late=sorted(itertools.chain(*(answer.late for answer in answers))),
        )

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.send(None)
        for running in self._running:
            running.join()


async def books(url: str) -> tuple[int, int]:
    """Held, and pairs by what is spent."""
    async with connect(url) as redis:
        balances = await RedisLedger(redis, FLEET).balances(TENANT, LIMITS)
    assert len({(balance.spent, balance.held) for balance in balances}) == 1
    return balances[0].held, balances[0].spent // COST


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, float]:
    rates, p50s, p99s = [], [], []
    with redis_server() as server:
        processes = Processes(server.url, options.processes, options.callers)
        for number in range(1, options.rounds + 1):
            rates.append(processes.run("saturated", options.seconds, 0).pairs / options.seconds)
            steady = processes.run("steady", options.seconds, options.rate)
            p50s.append(percentile(steady.seconds, 0.50) * 1000)
            p99s.append(percentile(steady.seconds, 0.99) * 1000)
            say(
                f"round {number}: saturated {rates[-1]:,.0f} pairs/s; at {options.rate:,}/s "
                f"p50 {p50s[-1]:.2f} ms, p99 {p99s[-1]:.2f} ms ({steady.pairs:,} pairs, "
                f"starts late by p50 {percentile(steady.late, 0.5) * 1000:.2f} ms, "
                f"p99 {percentile(steady.late, 0.99) * 1000:.2f} ms)"
            )
        processes.close()
        held, pairs = asyncio.run(books(server.url))
        if held:
            raise SystemExit(f"{held} nano-USD are still held")
        say(f"books: nothing held, {pairs:,} pairs settled on three limits")
    return {
        "pairs_per_s": round(statistics.median(rates)),
        "pair_p50_ms": round(statistics.median(p50s), 3),
        "pair_p99_ms": round(statistics.median(p99s), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--callers", type=int, default=16, help="calls under way at once in each process")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rate", type=int, default=1_000, help="pairs/s of all processes, for the latency")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.processes} processes, {options.callers} calls at once in each, one tenant, three limits")
    print(json.dumps(measure(options, print)))


if __name__ == "__main__":
    main()
