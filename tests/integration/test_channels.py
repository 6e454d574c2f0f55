"""Pub/sub over one connection: bells ring at messages, and again after whatever was missed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.keyspace.channels import Channels
from agentfleet_core.keyspace.connect import channels_of, connect
from agentfleet_core.settings import FleetId

LONG = 30.0


@pytest.fixture
async def client(redis: RedisServer) -> AsyncIterator[Redis]:
    client = connect(redis.url)
    yield client
    await client.aclose()


@pytest.fixture
def name(fleet_id: FleetId) -> str:
    return f"{fleet_id.install}:channel"


async def pubsub_connections(client: Redis) -> int:
    return len(await client.client_list(_type="pubsub"))


async def test_a_bell_rings_when_it_is_connected_and_at_each_message(client: Redis, name: str) -> None:
    heard: list[bytes] = []
    async with channels_of(client).listen(name, heard.append) as bell:
        await bell.after(0, LONG)
        for number in (1, 2):
            await client.publish(name, f"message {number}")
            await bell.after(number, LONG)
    assert heard == [b"", b"message 1", b"message 2"]


async def test_a_ring_between_the_look_and_the_wait_is_not_missed(client: Redis, name: str) -> None:
    async with channels_of(client).listen(name) as bell:
        await bell.after(0, LONG)
        seen = bell.rings
        await client.publish(name, "now")
        await bell.after(seen, LONG)
        await bell.after(seen, LONG)  # at once, although the ring was before it
        assert bell.rings == seen + 1


async def test_all_channels_share_one_connection_whenever_they_are_wanted(client: Redis, name: str) -> None:
    before = await pubsub_connections(client)
    channels = channels_of(client)
    async with (
        channels.listen(f"{name}/1") as first,
        channels.listen(f"{name}/2") as second,
        channels.listen(f"{name}/1") as again,
    ):
        assert first is again
        await first.after(0, LONG)
        await second.after(0, LONG)
        async with channels.listen(f"{name}/3") as late:
            await late.after(0, LONG)
        assert await pubsub_connections(client) == before + 1


async def test_a_channel_is_left_with_its_last_listener(client: Redis, name: str) -> None:
    channels = channels_of(client)
    async with channels.listen(f"{name}/stays"):
        async with channels.listen(name) as bell:
            async with channels.listen(name):
                await bell.after(0, LONG)
            assert await client.pubsub_numsub(name) == [(name.encode(), 1)]
        async with channels.listen(name) as bell:  # what comes after it has come after the leaving
            await bell.after(0, LONG)
        async with channels.listen(f"{name}/then") as then:
            await then.after(0, LONG)
        assert await client.pubsub_numsub(name) == [(name.encode(), 0)]


async def test_who_comes_while_the_others_are_subscribed_is_heard_too(client: Redis, name: str) -> None:
    channels = channels_of(client)
    async with channels.listen(f"{name}/first"):
        await asyncio.sleep(0)  # the reader has begun to subscribe, and waits for its connection
        async with channels.listen(name) as late:
            await late.after(0, LONG)
            assert late.rings == 1


async def test_who_leaves_while_the_others_are_subscribed_is_left(client: Redis, name: str) -> None:
    channels = channels_of(client)
    async with channels.listen(f"{name}/stays"):
        async with channels.listen(name):
            await asyncio.sleep(0)  # the reader has begun to subscribe, and waits for its connection
        await all_is_taken(channels, name)
        assert await client.pubsub_numsub(name) == [(name.encode(), 0)]


async def test_who_comes_while_a_lost_connection_is_closed_opens_no_other(
    redis: RedisServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = PubSub.aclose
    async with (
        connect(redis.url) as admin,
        connect(redis.url, retries=0) as client,
        contextlib.AsyncExitStack() as listening,
        channels_of(client).listen(f"{name}/stays") as stays,
    ):

        async def close_and_listen(self: PubSub) -> None:
            monkeypatch.undo()
            await close(self)
            await listening.enter_async_context(channels_of(client).listen(name))

        await stays.after(0, LONG)
        before, rung = await pubsub_connections(admin), stays.rings
        monkeypatch.setattr(PubSub, "aclose", close_and_listen)
        await admin.client_kill_filter(_type="pubsub")
        await stays.after(rung, LONG)
        assert stays.rings > rung
        assert await pubsub_connections(admin) == before


async def all_is_taken(channels: Channels, name: str) -> None:
    """What was said on the connection, and what that led to: each new channel's answer comes after both."""
    for number in (1, 2):
        async with channels.listen(f"{name}/then/{number}") as then:
            await then.after(0, LONG)


async def test_a_hearer_that_fails_costs_nobody_else_a_ring(
    client: Redis, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(message: bytes) -> None:
        message.decode()

    heard: list[bytes] = []
    channels = channels_of(client)
    async with channels.listen(name, fail), channels.listen(name, heard.append) as bell:
        await bell.after(0, LONG)
        for number, message in enumerate((b"\xff", b"then"), 1):
            await client.publish(name, message)
            await bell.after(number, LONG)
    assert heard == [b"", b"\xff", b"then"]
    [record] = caplog.records
    assert "UnicodeDecodeError" in caplog.text
    assert record.levelname == "ERROR"


@pytest.mark.parametrize("retries", [0, 3])
async def test_a_lost_connection_is_made_again_and_rings(redis: RedisServer, name: str, retries: int) -> None:
    async with (
        connect(redis.url) as admin,
        connect(redis.url, retries=retries) as client,
        channels_of(client).listen(name) as bell,
    ):
        await bell.after(0, LONG)
        before = bell.rings
        await admin.client_kill_filter(_type="pubsub")
        await bell.after(before, LONG)
        again = bell.rings
        await admin.publish(name, "here")
        await bell.after(again, LONG)
        assert bell.rings > again > before


async def test_without_redis_a_bell_is_silent_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    async with connect("redis://127.0.0.1:1/0", retries=0) as nobody, channels_of(nobody).listen("x") as bell:
        await bell.after(0, 0.5)
        assert bell.rings == 0
    assert len(caplog.records) == 1


async def test_the_clients_end_is_its_channels_end(redis: RedisServer, name: str) -> None:
    async with connect(redis.url) as admin:
        client = connect(redis.url)
        before = asyncio.all_tasks()
        async with channels_of(client).listen(name) as bell:
            await bell.after(0, LONG)
            await client.aclose()
            assert asyncio.all_tasks() <= before
        assert await admin.pubsub_numsub(name) == [(name.encode(), 0)]


def test_a_client_has_one_of_them() -> None:
    client = connect("redis://127.0.0.1:1/0")
    assert channels_of(client) is channels_of(client)
    assert isinstance(channels_of(client), Channels)
