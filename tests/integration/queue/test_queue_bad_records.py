"""A record that cannot be read, on a real Redis: it ends or waits alone, and whoever looks can see it."""

from collections.abc import AsyncIterator

import orjson
import pytest
from tests.integration.queue.queue_rooms import LEASE_MS, POOL, RedisRoom, envelope, settled

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.queue.batching import GroupCommit
from agentfleet_core.queue.envelope import Claim, Envelope, SettleOutcome, TaskRecord, TaskState
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId


@pytest.fixture
async def room(redis: RedisServer, fleet_id: FleetId) -> AsyncIterator[RedisRoom]:
    client = connect(redis.url)
    queue = PoolQueue(client, fleet_id, POOL)
    yield RedisRoom(queue, client)
    await client.aclose()


async def spoil(room: RedisRoom, task: Envelope, record: bytes) -> None:
    await room.redis.hset(room.queue.calls.keys.task(task.id), "e", record)


async def read(room: RedisRoom, task: Envelope) -> TaskRecord:
    [record] = await room.queue.get([task.id])
    assert record is not None
    return record


async def claim_directly(room: RedisRoom) -> list[Claim]:
    return await room.claim(10)


async def claim_in_a_group(room: RedisRoom) -> list[Claim]:
    commit = GroupCommit(room.queue)
    claims = await commit.claim("w1", 10, lease_ms=LEASE_MS)
    assert await commit.settle(settled(claims[0])) is SettleOutcome.DONE, "it goes on"
    await commit.close(5)
    return claims


@pytest.mark.parametrize("claim", [claim_directly, claim_in_a_group])
async def test_a_bad_record_ends_alone_and_a_newer_one_waits(room: RedisRoom, claim: object) -> None:
    good, bad, newer, also_good = await room.submit(*[envelope() for _ in range(4)])
    await spoil(room, bad, b"no envelope")
    await spoil(room, newer, b'[2,"of a later release"]\n{}')

    claims = await claim(room)  # type: ignore[operator]

    assert [each.envelope.id for each in claims] == [good.id, also_good.id]
    ended, waits = await read(room, bad), await read(room, newer)
    assert (ended.state, ended.reason, ended.envelope.tenant) == (
        TaskState.FAILED, "EnvelopeUnreadable", "acme",
    )  # fmt: skip
    assert orjson.loads(ended.error) == {
        "type": "https://agentfleet.dev/problems/invalid-input",
        "title": "Invalid input",
        "status": 422,
        "detail": orjson.loads(ended.error)["detail"],
        "field": "envelope",
        "reason": "EnvelopeUnreadable",
    }
    assert waits.state is TaskState.PARKED
    assert waits.reason == f"EnvelopeUnknown: task {newer.id} was written as envelope 2, this release reads 1"
    assert (await room.queue.counters()).running == (2 if claim is claim_directly else 1)


async def test_a_newer_task_runs_once_a_worker_can_read_it(room: RedisRoom) -> None:
    [task] = await room.submit(envelope())
    key = room.queue.calls.keys.task(task.id)
    known = await room.redis.hget(key, "e")
    assert known is not None
    await spoil(room, task, b"[2]\n")
    assert await room.claim() == []
    await spoil(room, task, known)
    await room.pass_time(30_000)
    claim = await room.claim_one()
    assert (claim.envelope, claim.failures) == (task, 0)


async def test_a_bad_record_can_be_cancelled_and_erased(room: RedisRoom) -> None:
    [task] = await room.submit(envelope())
    await spoil(room, task, b"no envelope")
    assert await room.queue.cancel(task.id, "Asked")
    assert await room.queue.delete(task.id)
    assert (await read(room, task)).deleted
