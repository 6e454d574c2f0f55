"""The queue under test: each story that asks for `room` runs on Redis and in memory."""

from collections.abc import AsyncIterator

import pytest
from tests.integration.queue.queue_rooms import POOL, MemoryRoom, RedisRoom, Room, now_ms

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId
from agentfleet_core.testing.memory_queue import MemoryQueue


@pytest.fixture(params=["redis", "memory"])
async def room(request: pytest.FixtureRequest, redis: RedisServer, fleet_id: FleetId) -> AsyncIterator[Room]:
    if request.param == "memory":
        yield MemoryRoom(MemoryQueue(POOL, now_ms=now_ms()))
        return
    client = connect(redis.url)
    queue = PoolQueue(client, fleet_id, POOL)
    yield RedisRoom(queue, client)
    assert await queue.audit(deep=True), "the counters did not agree with the records"
    await client.aclose()
