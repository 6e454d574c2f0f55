"""A task that is cancelled while it talks to Redis ends, in whatever turn of the loop that comes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio import Redis

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.keyspace.connect import connect


async def ask(redis: Redis) -> None:
    while True:
        await redis.hget("nothing", "here")


async def ask_together(redis: Redis) -> None:
    while True:
        await redis.pipeline(transaction=False).hget("nothing", "here").hgetall("nothing").execute()


async def listen(redis: Redis) -> None:
    async with redis.pubsub() as channel:
        await channel.subscribe("quiet")
        while True:
            await channel.get_message(timeout=30.0)


async def block(redis: Redis) -> None:
    while True:
        await redis.blpop(["quiet"], timeout=4)


@pytest.fixture
async def client(redis: RedisServer) -> AsyncIterator[Redis]:
    client = connect(redis.url)
    await client.ping()
    yield client
    await client.aclose()


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("talk", [ask, ask_together, listen, block])
async def test_it_ends_at_once(client: Redis, talk: Callable[[Redis], Awaitable[None]], turns: int) -> None:
    async def talking() -> None:
        await talk(client)

    task = asyncio.create_task(talking())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(2):
        while not task.done():
            await asyncio.wait([task])
    assert task.cancelled()
