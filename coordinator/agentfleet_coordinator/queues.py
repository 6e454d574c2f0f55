"""The pools' queues, each made once. A pool that left the config has one too: its tasks can still be read."""

from collections.abc import Sequence

from redis.asyncio import Redis

from agentfleet_coordinator.catalog import Principal
from agentfleet_core.errors import InvalidInput, NotFound
from agentfleet_core.queue.envelope import TaskRecord
from agentfleet_core.queue.ids import minted_ms, pool_of
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId

KEPT = 2_000
"""Queues kept at most: names in ids come from clients."""


class Queues:
    def __init__(self, redis: Redis, fleet: FleetId) -> None:
        self._redis = redis
        self._fleet = fleet
        self._pools: dict[str, PoolQueue] = {}

    def pool(self, name: str) -> PoolQueue:
        queue = self._pools.get(name)
        if queue is None:
            if len(self._pools) >= KEPT:
                self._pools.clear()
            queue = self._pools[name] = PoolQueue(self._redis, self._fleet, name)
        return queue

    def of(self, task_id: str) -> PoolQueue:
        """The queue of a task. Raises `NotFound` for what can be no id."""
        try:
            minted_ms(task_id)
        except InvalidInput as error:
            raise NotFound("task", task_id[:100]) from error
        return self.pool(pool_of(task_id))

    async def read(self, task_id: str, principal: Principal) -> TaskRecord:
        """The task, if the caller may see it; someone else's is `NotFound`, like one that never was."""
        record = (await self.of(task_id).get([task_id]))[0]
        if record is None or not (principal.admin or record.envelope.tenant == principal.tenant):
            raise NotFound("task", task_id)
        return record

    async def read_many(self, task_ids: Sequence[str]) -> list[TaskRecord | None]:
        """In the order of the ids; one round trip per pool."""
        by_pool: dict[str, list[str]] = {}
        for task_id in task_ids:
            by_pool.setdefault(task_id.partition(".")[0], []).append(task_id)
        found: dict[str, TaskRecord | None] = {}
        for pool, ids in by_pool.items():
            found |= zip(ids, await self.pool(pool).get(ids), strict=True)
        return [found[task_id] for task_id in task_ids]
