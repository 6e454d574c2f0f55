"""A connection that several tasks find broken is made anew once, and nothing of the others is left open."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.keyspace.connect import connect


@pytest.fixture
async def client(redis: RedisServer) -> AsyncIterator[Redis]:
    client = connect(redis.url)
    yield client
    await client.aclose()


async def connections_made(client: Redis) -> int:
    return int((await client.info("stats"))["total_connections_received"])


async def test_tasks_that_reconnect_together_open_one_socket(client: Redis) -> None:
    connection: AbstractConnection = client.connection_pool.make_connection()
    before = await connections_made(client)

    await asyncio.gather(*(connection.connect() for _ in range(10)))

    assert await connections_made(client) - before == 1
    await connection.disconnect()


async def test_who_writes_while_another_connects_waits_for_its_handshake(client: Redis) -> None:
    connection: AbstractConnection = client.connection_pool.make_connection()

    async def say(word: str) -> None:
        await connection.send_command("PING", word, check_health=False)

    await asyncio.gather(connection.connect(), *(say(str(n)) for n in range(5)))

    replies = [await connection.read_response() for _ in range(5)]
    assert sorted(replies) == [b"0", b"1", b"2", b"3", b"4"]
    await connection.disconnect()
