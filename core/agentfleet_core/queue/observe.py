"""Reading many pools in one round trip: what the autoscaler and the coordinator's overview see."""

from collections.abc import Sequence

from redis.asyncio import Redis

from agentfleet_core.keyspace.scripts import run_all
from agentfleet_core.queue.calls import PoolCalls
from agentfleet_core.queue.envelope import PoolCounters, WorkerRecord
from agentfleet_core.queue.records import decode_counters, decode_workers
from agentfleet_core.settings import FleetId


async def read_counters(redis: Redis, fleet_id: FleetId, pools: Sequence[str]) -> list[PoolCounters]:
    """In the pools' order. Raises `Unavailable`."""
    if not pools:
        return []
    replies = await run_all(redis, [PoolCalls(fleet_id, pool).call("counters") for pool in pools])
    return [decode_counters(reply) for reply in replies]


async def read_workers(redis: Redis, fleet_id: FleetId, pools: Sequence[str]) -> list[list[WorkerRecord]]:
    """In the pools' order. Raises `Unavailable`."""
    if not pools:
        return []
    replies = await run_all(redis, [PoolCalls(fleet_id, pool).call("workers") for pool in pools])
    return [decode_workers(reply) for reply in replies]
