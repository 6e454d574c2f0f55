"""Who waits for open holds is noted, for whoever asks why a running task does nothing."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.budget import ledger as redis_ledger
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import LimitWindow, Refused, Reserved, Waiting
from agentfleet_core.budget.room import Room, Wish
from agentfleet_core.keyspace.connect import channels_of, connect
from agentfleet_core.keyspace.keys import TenantKeys
from agentfleet_core.ports import Ledger
from agentfleet_core.settings import FleetId
from agentfleet_core.testing.memory_ledger import MemoryLedger

DAY = LimitWindow("day", 100, 0, 0)
MINUTE_MS = 60_000


@pytest.fixture
async def client(redis: RedisServer) -> AsyncIterator[Redis]:
    async with connect(redis.url) as client:
        yield client


@pytest.fixture(params=["redis", "memory"])
def ledger(request: pytest.FixtureRequest, fleet_id: FleetId) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    return RedisLedger(request.getfixturevalue("client"), fleet_id)


async def test_a_wait_is_over_with_its_time_or_with_a_hold(ledger: Ledger) -> None:
    first, second, late = (Waiting(f"t/1/look up|{n}", "day", 60) for n in ("a", "b", "c"))
    for waiting, wait_ms in ((first, MINUTE_MS), (second, 2 * MINUTE_MS), (late, 0)):
        await ledger.note_wait("acme", waiting, wait_ms=wait_ms)
    assert await ledger.waits("acme") == [first, second]
    assert await ledger.waits("globex") == []

    held = await ledger.reserve("acme", first.hold_id, 60, [DAY], lease_ms=MINUTE_MS)
    assert isinstance(held, Reserved)
    assert await ledger.waits("acme") == [second]
    await ledger.settle(held.hold, 10)
    assert await ledger.waits("acme") == [second], "an ended hold was a hold"


async def test_only_so_many_are_kept_and_not_for_ever(
    client: Redis, fleet_id: FleetId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_ledger, "WAITS_KEPT", 2)
    ledger = RedisLedger(client, fleet_id)
    for number in range(3):
        await ledger.note_wait("acme", Waiting(f"t/{number}/a", "day", 60), wait_ms=MINUTE_MS + number)
    assert [waiting.hold_id for waiting in await ledger.waits("acme")] == ["t/1/a", "t/2/a"]
    assert 0 < await client.pttl(TenantKeys(fleet_id, "acme").waits) <= MINUTE_MS + 2


async def test_who_stands_in_line_is_noted_until_there_is_room(client: Redis, fleet_id: FleetId) -> None:
    ledger = NotingLedger(client, fleet_id)
    room = Room(ledger, channels_of(client), fleet_id)
    blocker = await ledger.reserve("acme", "blocker", 100, [DAY], lease_ms=MINUTE_MS)
    assert isinstance(blocker, Reserved)

    async def stand(name: str) -> None:
        wish = Wish("acme", name, 40, MINUTE_MS, until=time.monotonic() + 60)
        assert isinstance(await room.reserve(wish, lambda: [DAY]), Reserved)

    async with asyncio.TaskGroup() as group:
        for name in ("head/1/a", "behind/1/a"):
            group.create_task(stand(name))
            await ledger.noted.acquire()
        assert {waiting.hold_id for waiting in await ledger.waits("acme")} == {"head/1/a", "behind/1/a"}
        await ledger.settle(blocker.hold, 0)
    assert await ledger.waits("acme") == []


async def test_who_is_refused_for_good_waits_no_longer(client: Redis, fleet_id: FleetId) -> None:
    ledger = NotingLedger(client, fleet_id)
    room = Room(ledger, channels_of(client), fleet_id)
    blocker = await ledger.reserve("acme", "blocker", 100, [DAY], lease_ms=MINUTE_MS)
    assert isinstance(blocker, Reserved)
    wish = Wish("acme", "t/1/a", 40, MINUTE_MS, until=time.monotonic() + 60)
    async with asyncio.TaskGroup() as group:
        refused = group.create_task(room.reserve(wish, lambda: [DAY]))
        await ledger.noted.acquire()
        await ledger.settle(blocker.hold, 90)
    assert isinstance(refused.result(), Refused)
    assert await ledger.waits("acme") == []


class NotingLedger(RedisLedger):
    def __init__(self, redis: Redis, fleet_id: FleetId) -> None:
        super().__init__(redis, fleet_id)
        self.noted = asyncio.Semaphore(0)

    async def note_wait(self, tenant: str, waiting: Waiting, *, wait_ms: int) -> None:
        await super().note_wait(tenant, waiting, wait_ms=wait_ms)
        self.noted.release()
