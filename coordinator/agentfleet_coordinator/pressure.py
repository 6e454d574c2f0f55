"""Back-pressure: how full a pool is, read at most a few times a second, and counted on in between.

A full pool refuses early and says when to come back; tasks that were accepted are never dropped for it.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from agentfleet_coordinator.queues import Queues
from agentfleet_core.errors import AgentfleetError, Overloaded
from agentfleet_core.queue.depth import queued
from agentfleet_core.queue.envelope import PoolCounters

FRESH_SECONDS = 0.25
"""Younger counters are used as they are; older ones are used while newer ones are fetched."""
STALE_SECONDS = 2.0
"""Older ones are waited for."""
MIN_RETRY_SECONDS = 1.0
MAX_RETRY_SECONDS = 60.0


@dataclass(slots=True)
class _Reading:
    counters: PoolCounters
    at_seconds: float
    started_per_second: float
    admitted_since: int = 0


class Pressure:
    def __init__(self, queues: Queues, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._queues = queues
        self._monotonic = monotonic
        self._readings: dict[str, _Reading] = {}
        self._refreshes: dict[str, asyncio.Task[None]] = {}

    async def admit(self, pool: str, max_queued: int) -> None:
        """Count one more task in. Raises `Overloaded` when `max_queued` wait already, `Unavailable`."""
        reading = await self._reading(pool)
        waiting = queued(reading.counters)
        if waiting + reading.admitted_since >= max_queued:
            raise Overloaded(
                f"{waiting:,} tasks wait in pool {pool}, and its maxQueued is {max_queued:,}; try again, "
                f"or raise spec.maxQueued or spec.scaling.maxReplicas of AgentPool {pool}",
                retry_after_seconds=_retry_after(reading, waiting + reading.admitted_since + 1 - max_queued),
            )
        reading.admitted_since += 1

    async def counters(self, pool: str) -> PoolCounters:
        """At most `STALE_SECONDS` old."""
        return (await self._reading(pool)).counters

    async def _reading(self, pool: str) -> _Reading:
        reading = self._readings.get(pool)
        age = self._monotonic() - reading.at_seconds if reading else STALE_SECONDS
        if reading and age < FRESH_SECONDS:
            return reading
        refresh = self._refreshes.get(pool)
        if refresh is None:
            refresh = self._refreshes[pool] = asyncio.create_task(
                self._refresh(pool), name=f"counters-{pool}"
            )
            refresh.add_done_callback(lambda done: self._refreshed(pool, done))
        if reading is None or age >= STALE_SECONDS:
            await asyncio.shield(refresh)
        return self._readings.get(pool) or await self._reading(pool)

    async def _refresh(self, pool: str) -> None:
        asked = self._monotonic()
        counters = await self._queues.pool(pool).counters()
        before = self._readings.get(pool)
        rate = 0.0
        if before is not None and asked > before.at_seconds:
            started = counters.started_total - before.counters.started_total
            rate = max(0.0, started / (asked - before.at_seconds))
        self._readings[pool] = _Reading(counters, asked, rate)

    def _refreshed(self, pool: str, done: "asyncio.Task[None]") -> None:
        self._refreshes.pop(pool, None)
        # A failure reaches whoever waits for it; nobody may, and Redis's absence shows in the submit itself.
        if not done.cancelled() and isinstance(done.exception(), AgentfleetError):
            self._readings.pop(pool, None)


def _retry_after(reading: _Reading, above: int) -> float:
    """When the queue should be under its limit, at the rate at which tasks started lately."""
    if reading.started_per_second <= 0:
        return 5.0
    return min(MAX_RETRY_SECONDS, max(MIN_RETRY_SECONDS, above / reading.started_per_second))
