"""What only the scripts can get wrong: a claim sent again, a cost told twice, thousands of steps."""

from collections.abc import AsyncIterator

import pytest
from tests.integration.queue.queue_rooms import LEASE_MS, POOL, RedisRoom, entry, envelope, settled

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.queue.envelope import SettleKind, Settlement
from agentfleet_core.queue.policy import PoolPolicy
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId


@pytest.fixture
async def room(redis: RedisServer, fleet_id: FleetId) -> AsyncIterator[RedisRoom]:
    client = connect(redis.url)
    queue = PoolQueue(client, fleet_id, POOL)
    yield RedisRoom(queue, client)
    assert await queue.audit(deep=True)
    await client.aclose()


async def claimed(room: RedisRoom, number: str, worker: str = "w1") -> list[tuple[str, int]]:
    assert isinstance(room.queue, PoolQueue)
    call = room.queue.calls.claim(
        worker, 2, lease_ms=LEASE_MS, number=number, revisions=(), paused_tenants=(), paused_types=()
    )
    claims, _ = room.queue.claimed(await call.script.run(room.redis, call.keys, call.args))
    return [(claim.envelope.id, claim.attempt) for claim in claims]


async def test_a_claim_sent_again_hands_out_what_it_got_and_still_holds(room: RedisRoom) -> None:
    first, second, third = [each.id for each in await room.submit(envelope(), envelope(), envelope())]
    assert await claimed(room, "n1") == [(first, 1), (second, 1)]
    assert await claimed(room, "n1") == [(first, 1), (second, 1)]

    await room.queue.settle([Settlement(first, 1, SettleKind.HAND_BACK)])
    assert await claimed(room, "n9", worker="w2") == [(first, 2), (third, 1)]
    assert await claimed(room, "n1") == [(second, 1)]


async def test_an_attempt_that_is_over_is_not_handed_out_by_a_claim_sent_again(room: RedisRoom) -> None:
    """The task's record decides, not what was noted of the claim's answer."""
    assert isinstance(room.queue, PoolQueue)
    [task] = await room.submit(envelope())
    assert await claimed(room, "n1") == [(task.id, 1)]
    noted = await room.redis.hget(f"{room.queue.calls.keys.tag}:answers", "w1")
    await room.queue.settle([Settlement(task.id, 1, SettleKind.HAND_BACK)])
    assert await claimed(room, "n2") == [(task.id, 2)]
    await room.redis.hset(f"{room.queue.calls.keys.tag}:answers", "w1", noted)
    assert await claimed(room, "n1") == []


async def test_room_under_a_cap_rings_when_it_comes_free(room: RedisRoom) -> None:
    """The bell had rung for the task that waits, and found no room for it."""
    assert isinstance(room.queue, PoolQueue)
    bell = room.queue.calls.keys.bell
    await room.queue.configure(PoolPolicy(1, max_running_per_tenant=1))
    await room.submit(envelope(), envelope())
    claim = await room.claim_one()
    assert await room.claim() == []
    await room.redis.delete(bell)
    await room.queue.settle([settled(claim)])
    assert await room.redis.llen(bell) == 1
    assert len(await room.claim()) == 1


@pytest.mark.parametrize(("told", "spent"), [(0, 7), (7, 7), (10, 10)])
async def test_what_was_journaled_is_not_spent_again_by_the_settle(
    room: RedisRoom, told: int, spent: int
) -> None:
    """A settlement may tell the whole task's cost: the pool has counted the journal's part of it already."""
    [task] = await room.submit(envelope())
    claim = await room.claim_one()
    await room.queue.journal([entry(claim, "a", cost=3), entry(claim, "b", cost=4)])
    await room.queue.settle([settled(claim, cost=told)])
    [record] = await room.queue.get([task.id])
    assert record is not None
    assert record.cost == spent
    assert (await room.queue.counters()).spent_total == spent


async def test_a_task_with_thousands_of_steps_can_be_erased(room: RedisRoom) -> None:
    [task] = await room.submit(envelope())
    claim = await room.claim_one()
    steps = [entry(claim, f"step-{number}", cost=1) for number in range(9_000)]
    for start in range(0, len(steps), 500):
        await room.queue.journal(steps[start : start + 500])
    await room.queue.settle([settled(claim, output=b'"secret"')])
    assert len(await room.queue.steps(task.id)) == 9_000

    assert await room.queue.delete(task.id)

    assert await room.queue.steps(task.id) == {}
    [record] = await room.queue.get([task.id])
    assert record is not None
    assert (record.deleted, record.output, record.cost) == (True, b"", 9_000)
