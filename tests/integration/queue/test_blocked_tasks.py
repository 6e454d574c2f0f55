"""Who tells how a tenant stands sees all that waits for its money: in every pool, of every tenant."""

from dataclasses import replace

from tests.integration.queue.queue_rooms import envelope

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.queue.envelope import SettleKind, Settlement
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.queue.limits import BLOCKED_NAMED
from agentfleet_core.queue.observe import blocked_tasks
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId


async def test_every_blocked_tenant_is_told_with_its_tasks_of_all_pools(
    redis: RedisServer, fleet_id: FleetId
) -> None:
    client = connect(redis.url)
    many = [f"tenant-{number}" for number in range(BLOCKED_NAMED + 5)]
    pools = [PoolQueue(client, fleet_id, name) for name in ("batch", "interactive")]
    for queue in pools:
        await queue.submit([replace(envelope(tenant=name), id=new_task_id(queue.pool)) for name in many])
        await queue.settle([
            Settlement(claim.envelope.id, claim.attempt, SettleKind.PARK, block_tenant=True)
            for claim in await queue.claim("w1", len(many), lease_ms=60_000)
        ])  # fmt: skip
        assert len((await queue.counters()).blocked_tenants) == BLOCKED_NAMED

    assert await blocked_tasks(client, fleet_id, ["batch", "interactive"]) == dict.fromkeys(many, 2)
    await client.aclose()
