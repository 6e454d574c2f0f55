"""Group commit over the shared connection: what is asked for together leaves together."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.integration.queue.queue_rooms import LEASE_MS, POOL, RedisRoom, entry, envelope, settled

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.errors import InvalidInput, Unavailable
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.queue.batching import GroupCommit
from agentfleet_core.queue.envelope import Event, SettleKind, Settlement, SettleOutcome
from agentfleet_core.queue.limits import MAX_ENTRY_BYTES
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId


@pytest.fixture
async def room(redis: RedisServer, fleet_id: FleetId) -> AsyncIterator[RedisRoom]:
    client = connect(redis.url)
    queue = PoolQueue(client, fleet_id, POOL)
    yield RedisRoom(queue, client)
    assert await queue.audit(deep=True)
    await client.aclose()


async def round_trips(room: RedisRoom) -> int:
    return int((await room.redis.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})["calls"])


async def test_many_tasks_share_their_round_trips(room: RedisRoom) -> None:
    commit = GroupCommit(room.queue)
    await room.submit(*[envelope() for _ in range(50)])
    claims = await commit.claim("w1", 50, lease_ms=LEASE_MS)
    before = await round_trips(room)
    assert await asyncio.gather(*[commit.journal(entry(claim, "a")) for claim in claims]) == [True] * 50
    outcomes = [commit.settle(settled(claim)) for claim in claims]
    assert await commit.claim("w1", 50, lease_ms=LEASE_MS) == []
    assert await round_trips(room) - before <= 3, "journal; settle and claim"
    assert {await outcome for outcome in outcomes} == {SettleOutcome.DONE}
    await commit.close(5)


async def test_one_that_is_too_large_does_not_harm_the_others(room: RedisRoom) -> None:
    commit = GroupCommit(room.queue)
    await room.submit(envelope(), envelope())
    first, second = await commit.claim("w1", 2, lease_ms=LEASE_MS)
    fine = asyncio.ensure_future(commit.journal(entry(first, "a")))
    with pytest.raises(InvalidInput, match="step's result"):
        await commit.journal(entry(second, "a", b"x" * (MAX_ENTRY_BYTES + 1)))
    assert await fine
    await commit.close(5)


async def test_closing_writes_what_nobody_waits_for(room: RedisRoom) -> None:
    commit = GroupCommit(room.queue)
    await room.submit(envelope())
    [claim] = await commit.claim("w1", 1, lease_ms=LEASE_MS)
    commit.emit(Event(claim.envelope.id, 1, "delta", b'{"text":"he"}'))
    settling = commit.settle(settled(claim))
    await commit.close(5)
    assert settling.result() is SettleOutcome.DONE
    events = [event.type async for event in room.queue.follow(claim.envelope.id)]
    assert events == ["started", "delta", "ended"]


async def test_a_lost_connection_is_made_anew_and_nothing_is_written_twice(room: RedisRoom) -> None:
    commit = GroupCommit(room.queue)
    await room.submit(envelope())
    [claim] = await commit.claim("w1", 1, lease_ms=LEASE_MS)
    await room.redis.client_kill_filter(_type="normal", skipme=True)
    assert await commit.journal(entry(claim, "a", cost=7))
    await room.redis.client_kill_filter(_type="normal", skipme=True)
    assert await commit.settle(settled(claim)) is SettleOutcome.DONE
    assert (await room.queue.counters()).spent_total == 7
    await commit.close(5)


async def test_without_redis_a_claim_says_so_and_closing_gives_up() -> None:
    client = connect("redis://127.0.0.1:1/0", retries=0)
    commit = GroupCommit(PoolQueue(client, FleetId(), POOL))
    with pytest.raises(Unavailable):
        await commit.claim("w1", 1, lease_ms=LEASE_MS)
    waiting = commit.settle(Settlement(envelope().id, 1, SettleKind.END))
    await commit.close(0.05)
    with pytest.raises((Unavailable, asyncio.CancelledError)):
        await waiting
    await client.aclose()
