"""What a pool leaves in Redis, and what it says to the autoscaler."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio.client import PubSub
from tests.integration.queue.queue_rooms import POOL, RedisRoom, entry, envelope, settled

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.envelope import SettleKind
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId


@pytest.fixture
async def room(redis: RedisServer, fleet_id: FleetId) -> AsyncIterator[RedisRoom]:
    client = connect(redis.url)
    queue = PoolQueue(client, fleet_id, POOL)
    yield RedisRoom(queue, client)
    await client.aclose()


async def keys_without_expiry(room: RedisRoom) -> set[str]:
    tag = room.queue.calls.keys.tag
    found = [key async for key in room.redis.scan_iter(match=f"{tag}:*", count=1000)]
    return {key.decode().removeprefix(f"{tag}:") for key in found if await room.redis.ttl(key) == -1}


async def test_nothing_of_an_ended_task_outlives_its_retention(room: RedisRoom) -> None:
    tasks = await room.submit(*[envelope(f"tenant-{number % 3}", max_attempts=1) for number in range(12)])
    claims = await room.claim(9)
    for claim in claims:
        await room.queue.journal([entry(claim, "a", b'{"n":1}', 3)])
    await room.queue.settle([settled(claim) for claim in claims[:6]])
    await room.queue.settle([settled(claim, SettleKind.RETRY, error=b"{}") for claim in claims[6:8]])
    for task in tasks:
        await room.queue.cancel(task.id, "Asked")
    await room.queue.forget("w1")
    left = await keys_without_expiry(room)
    assert left <= {"counters", "vt", "bell"}, "only what is there once a pool or a tenant may stay"


async def test_a_pool_that_had_nothing_to_do_signals_its_first_task_at_once(
    room: RedisRoom, fleet_id: FleetId
) -> None:
    async with room.redis.pubsub(ignore_subscribe_messages=True) as heard:
        await heard.subscribe(FleetKeys(fleet_id).signals)
        for _ in range(2):
            await room.submit(envelope())
            assert await next_signal(heard) == f"pool/{POOL}".encode()
            await room.queue.settle([settled(await room.claim_one())])
            while await heard.get_message(timeout=0.05):
                pass  # what the settle may have said


async def next_signal(heard: PubSub) -> bytes:
    async with asyncio.timeout(5):
        while True:
            message = await heard.get_message(timeout=1)
            if message is not None:
                return bytes(message["data"])


async def test_higher_priority_waits_for_older_work_in_the_end(room: RedisRoom) -> None:
    old, _ = await room.submit(envelope(priority=0, kind="slow"), envelope(priority=100, kind="fast"))
    keys = room.queue.calls.keys
    # As if the first had been waiting for an hour: its lane's only entry is that old.
    entry_id = await room.redis.hget(keys.lanes("acme"), "0:slow:r1")
    assert entry_id is not None
    older = f"{int(entry_id.split(b'-')[0]) - 3_600_000}-0"
    await room.redis.delete(keys.stream("acme", "0:slow:r1"))
    await room.redis.xadd(keys.stream("acme", "0:slow:r1"), {"t": old.id.split(".")[1]}, id=older)
    await room.redis.hset(keys.lanes("acme"), "0:slow:r1", older)
    await room.redis.hset(keys.task(old.id), "n", older)
    assert (await room.claim_one()).envelope.id == old.id
