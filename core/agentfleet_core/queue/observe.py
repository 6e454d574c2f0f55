"""Reading many pools in one round trip: what the autoscaler and the coordinator's overview see."""

from collections import Counter
from collections.abc import Sequence

from redis.asyncio import Redis

from agentfleet_core.keyspace.scripts import run_all
from agentfleet_core.queue.calls import PoolCalls
from agentfleet_core.queue.envelope import PoolCounters, WorkerRecord
from agentfleet_core.queue.records import decode_counters, decode_workers
from agentfleet_core.settings import FleetId


async def read_pools(
    redis: Redis, fleet_id: FleetId, pools: Sequence[str], staffed: Sequence[str]
) -> tuple[list[PoolCounters], list[list[WorkerRecord]]]:
    """The counters of `pools` and the workers of `staffed`, in their orders. Raises `Unavailable`."""
    calls = [PoolCalls(fleet_id, pool).counters() for pool in pools]
    calls += [PoolCalls(fleet_id, pool).call("workers") for pool in staffed]
    replies = await run_all(redis, calls) if calls else []
    counters, workers = replies[: len(pools)], replies[len(pools) :]
    return [decode_counters(reply) for reply in counters], [decode_workers(reply) for reply in workers]


async def read_counters(redis: Redis, fleet_id: FleetId, pools: Sequence[str]) -> list[PoolCounters]:
    """In the pools' order, with every blocked tenant. Raises `Unavailable`."""
    calls = [PoolCalls(fleet_id, pool).counters(blocked_named=0) for pool in pools]
    return [decode_counters(reply) for reply in (await run_all(redis, calls) if calls else [])]


async def blocked_tasks(redis: Redis, fleet_id: FleetId, pools: Sequence[str]) -> Counter[str]:
    """Tenant to its tasks in all these pools that no budget admits now. Raises `Unavailable`."""
    blocked: Counter[str] = Counter()
    for counters in await read_counters(redis, fleet_id, pools):
        blocked.update(counters.blocked_tenants)
    return blocked


async def read_workers(redis: Redis, fleet_id: FleetId, pools: Sequence[str]) -> list[list[WorkerRecord]]:
    """In the pools' order. Raises `Unavailable`."""
    _, workers = await read_pools(redis, fleet_id, (), pools)
    return workers
