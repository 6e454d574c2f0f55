"""Reads counters and workers of many pools in one round trip, from the pools' own keys."""

from collections.abc import Sequence

from redis.asyncio import Redis

from agentfleet_core.queue.envelope import PoolCounters, WorkerRecord
from agentfleet_core.queue.observe import read_pools, read_workers
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId


class RedisCounters:
    """Implements `CounterSource`. Raises `Unavailable` when Redis is out of reach."""

    def __init__(self, redis: Redis, fleet_id: FleetId) -> None:
        self._redis = redis
        self._fleet_id = fleet_id

    async def read(
        self, pools: Sequence[str], staffed: Sequence[str]
    ) -> tuple[Sequence[PoolCounters], Sequence[Sequence[WorkerRecord]]]:
        return await read_pools(self._redis, self._fleet_id, pools, staffed)

    async def workers(self, pools: Sequence[str]) -> Sequence[Sequence[WorkerRecord]]:
        return await read_workers(self._redis, self._fleet_id, pools)

    async def drain(self, pool: str, workers: Sequence[str]) -> None:
        await PoolQueue(self._redis, self._fleet_id, pool).drain(workers)
