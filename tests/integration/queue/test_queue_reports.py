"""What workers report to lack, as the autoscaler reads it."""

from collections.abc import AsyncIterator

import pytest
from tests.integration.queue.queue_rooms import POOL

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.queue.limits import REPORT_SECONDS
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId


@pytest.fixture
async def queue(redis: RedisServer, fleet_id: FleetId) -> AsyncIterator[PoolQueue]:
    client = connect(redis.url)
    queue = PoolQueue(client, fleet_id, POOL)
    yield queue
    await client.aclose()


async def told(queue: PoolQueue) -> list[str]:
    return [f"{one.revision} {one.path}: {one.why}" for one in (await queue.counters()).missing_code]


async def test_a_report_is_news_once_and_can_be_taken_back(queue: PoolQueue) -> None:
    assert await queue.report("r1", "shop:answer", "no module shop")
    assert not await queue.report("r1", "shop:answer", "no module shop")
    assert await queue.report("r1", "shop:answer", "shop has no answer")
    assert await told(queue) == ["r1 shop:answer: shop has no answer"]
    assert await queue.report("r1", "shop:answer", "")
    assert not await queue.report("r1", "shop:answer", "")
    assert await told(queue) == []


async def test_reports_are_bounded_and_the_oldest_goes(queue: PoolQueue) -> None:
    for number in range(25):
        await queue.report("r1", f"shop:f{number:02}", "no module shop")
    paths = [one.path for one in (await queue.counters()).missing_code]
    assert len(paths) == 20
    assert "shop:f24" in paths


async def test_reports_expire_alone_and_together(queue: PoolQueue) -> None:
    await queue.report("r1", "shop:old", "no module shop")
    key = queue.calls.keys.missing
    old = f"{(await queue.counters()).now_ms - REPORT_SECONDS * 1000} no module shop"
    await queue.redis.hset(key, "r1 shop:old", old)
    await queue.report("r1", "shop:new", "no module shop")
    assert await told(queue) == ["r1 shop:new: no module shop"]
    assert 0 < await queue.redis.ttl(key) <= REPORT_SECONDS
