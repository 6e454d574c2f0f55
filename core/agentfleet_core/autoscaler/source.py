"""Reads counters and workers of many pools, each in one round trip, from the pools' own keys."""

from collections.abc import Sequence

from redis.asyncio import Redis

from agentfleet_core.queue.envelope import PoolCounters, WorkerRecord
from agentfleet_core.queue.observe import read_counters, read_workers
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId


class RedisCounters:
    """Implements `CounterSource`. Raises `Unavailable` when Redis is out of reach."""

    def __init__(self, redis: Redis, fleet_id: FleetId) -> None:
        self._redis = redis
        self._fleet_id = fleet_id

    async def counters(self, pools: Sequence[str]) -> Sequence[PoolCounters]:
        return await read_counters(self._redis, self._fleet_id, pools)

    async def workers(self, pools: Sequence[str]) -> Sequence[Sequence[WorkerRecord]]:
        return await read_workers(self._redis, self._fleet_id, pools)

    async def drain(self, pool: str, workers: Sequence[str]) -> None:
        await PoolQueue(self._redis, self._fleet_id, pool).drain(workers)
