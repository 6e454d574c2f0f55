"""Many pools at once: what the autoscaler reads in a tick."""

from typing import Any

import pytest
from tests.integration.queue.queue_rooms import envelope

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.keyspace import scripts
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.queue.observe import read_pools
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId


async def test_a_tick_reads_counters_and_workers_of_all_pools_in_one_round_trip(
    redis: RedisServer, fleet_id: FleetId, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(redis.url)
    for name, waiting in (("a", 1), ("b", 3)):
        queue = PoolQueue(client, fleet_id, name)
        await queue.submit([envelope(id=new_task_id(name)) for _ in range(waiting)])
        await queue.claim(f"{name}-1", 1, lease_ms=30_000)
    await read_pools(client, fleet_id, ["a"], ["a"])  # the scripts are known from now on
    exchanges: list[int] = []
    exchange = scripts._exchange

    async def counted(to: Any, commands: Any) -> Any:
        exchanges.append(len(commands))
        return await exchange(to, commands)

    monkeypatch.setattr(scripts, "_exchange", counted)
    counters, workers = await read_pools(client, fleet_id, ["a", "b", "c"], ["b", "a"])

    await client.aclose()
    assert exchanges == [5]
    assert [(each.waiting, each.running) for each in counters] == [(0, 1), (2, 1), (0, 0)]
    assert [[record.id for record in each] for each in workers] == [["b-1"], ["a-1"]]
