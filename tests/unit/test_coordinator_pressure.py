"""Back-pressure between two looks at a pool: what is counted, what is fetched, and when to come back."""

import asyncio
from dataclasses import fields
from typing import Any

import pytest

from agentfleet_coordinator.pressure import Pressure
from agentfleet_core.errors import Overloaded, Unavailable
from agentfleet_core.queue.envelope import PoolCounters

EMPTY = {field.name: 0 for field in fields(PoolCounters) if field.type == "int" or field.type is int}


class Pools:
    """Stands for the queues: one pool, whose counters the test sets."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {}
        self.reads = 0
        self.lost = False

    def pool(self, _: str) -> "Pools":
        return self

    async def counters(self) -> PoolCounters:
        self.reads += 1
        if self.lost:
            raise Unavailable("Redis cannot be reached")
        return PoolCounters(**(EMPTY | self.now))


async def turns() -> None:
    """Lets what runs beside the test run to its end."""
    for _ in range(5):
        await asyncio.sleep(0)


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def pools() -> Pools:
    return Pools()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pressure(pools: Any, clock: Clock) -> Pressure:
    return Pressure(pools, monotonic=clock)


async def test_what_is_admitted_between_two_looks_counts(pools: Pools, pressure: Pressure) -> None:
    pools.now = {"waiting": 7, "blocked": 1}
    await pressure.admit("p", 10)
    await pressure.admit("p", 10)

    with pytest.raises(Overloaded, match="its maxQueued is 10"):
        await pressure.admit("p", 10)
    assert pools.reads == 1


async def test_an_older_look_serves_while_a_newer_one_is_fetched(
    pools: Pools, clock: Clock, pressure: Pressure
) -> None:
    await pressure.admit("p", 10)
    clock.seconds += 0.5
    pools.now = {"waiting": 10}
    await pressure.admit("p", 10)
    await turns()

    with pytest.raises(Overloaded):
        await pressure.admit("p", 10)
    assert pools.reads == 2


async def test_a_look_that_is_too_old_is_not_used(pools: Pools, clock: Clock, pressure: Pressure) -> None:
    await pressure.admit("p", 10)
    clock.seconds += 5
    pools.now = {"waiting": 10}

    with pytest.raises(Overloaded):
        await pressure.admit("p", 10)


@pytest.mark.parametrize(
    ("started", "above", "seconds"),
    [(0, 1, 5.0), (1_000, 1, 1.0), (10, 100, 10.0), (1, 100_000, 60.0)],
)
async def test_when_to_come_back_follows_how_fast_tasks_start(
    pools: Pools, clock: Clock, pressure: Pressure, started: int, above: int, seconds: float
) -> None:
    await pressure.counters("p")
    clock.seconds += 5
    pools.now = {"waiting": 10 + above - 1, "started_total": started * 5}

    with pytest.raises(Overloaded) as refused:
        await pressure.admit("p", 10)

    assert refused.value.retry_after_seconds == seconds


async def test_without_redis_nobody_is_let_in_by_guesswork(
    pools: Pools, clock: Clock, pressure: Pressure
) -> None:
    pools.lost = True
    with pytest.raises(Unavailable):
        await pressure.admit("p", 10)
    pools.lost = False
    await pressure.admit("p", 10)
    pools.lost = True
    clock.seconds += 0.5
    await pressure.admit("p", 10)
    await turns()
    with pytest.raises(Unavailable):
        await pressure.admit("p", 10)
