"""Waiting for room: those whom only open holds refuse go on at the next settle, in line, and no sooner."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable

import pytest
from redis.asyncio import Redis

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import Hold, LimitWindow, Refused, Reserved
from agentfleet_core.budget.room import Room, Wish
from agentfleet_core.errors import Unavailable
from agentfleet_core.keyspace.connect import channels_of, connect
from agentfleet_core.keyspace.keys import TenantKeys
from agentfleet_core.settings import FleetId

DAY = LimitWindow("day", 100, 0, 0)
LEASE_MS = 600_000
LONG = 60.0


class Fleet:
    """Two worker processes' views of one tenant's money; what one settles, the other waits for."""

    def __init__(self, redis: Redis, fleet_id: FleetId) -> None:
        self.other = RedisLedger(redis, fleet_id)
        self.counted = CountingLedger(redis, fleet_id)
        self.channels = channels_of(redis)
        self.room_made = TenantKeys(fleet_id, "acme").room
        self.room = Room(self.counted, self.channels, fleet_id)

    async def hold(self, name: str, amount: int) -> Hold:
        answer = await self.other.reserve("acme", name, amount, [DAY], lease_ms=LEASE_MS)
        assert isinstance(answer, Reserved)
        return answer.hold

    def wait_for(self, name: str, amount: int, seconds: float = LONG) -> "asyncio.Task[Reserved | Refused]":
        wish = Wish("acme", name, amount, LEASE_MS, until=time.monotonic() + seconds)
        return asyncio.create_task(_run(self.room.reserve(wish, lambda: [DAY])))

    async def until_refused(self, times: int) -> None:
        """So often in all, and the bell is connected: from here no ring is missed."""
        async with self.channels.listen(self.room_made) as bell:
            await bell.after(0, LONG)
        async with self.counted.refused:
            await self.counted.refused.wait_for(lambda: self.counted.refusals >= times)


class CountingLedger(RedisLedger):
    def __init__(self, redis: Redis, fleet_id: FleetId) -> None:
        super().__init__(redis, fleet_id)
        self.refusals = 0
        self.refused = asyncio.Condition()

    async def reserve(self, *args, **more):
        outcome = await super().reserve(*args, **more)
        async with self.refused:
            self.refusals += isinstance(outcome, Refused)
            self.refused.notify_all()
        return outcome


async def _run(answer: Awaitable[Reserved | Refused]) -> Reserved | Refused:
    return await answer


@pytest.fixture
async def fleet(redis: RedisServer, fleet_id: FleetId) -> AsyncIterator[Fleet]:
    async with connect(redis.url) as client:
        fleet = Fleet(client, fleet_id)
        yield fleet


async def test_who_fits_does_not_wait(fleet: Fleet) -> None:
    assert isinstance(await fleet.wait_for("a", 100), Reserved)


async def test_the_next_settle_elsewhere_lets_the_first_in_line_go_on(fleet: Fleet) -> None:
    hold = await fleet.hold("open", 100)
    first = fleet.wait_for("first", 60)
    await fleet.until_refused(2)
    await fleet.other.settle(hold, 10)
    answer = await first
    assert isinstance(answer, Reserved)
    assert answer.hold.amount == 60


async def test_a_large_call_at_the_head_is_not_overtaken_by_small_ones(fleet: Fleet) -> None:
    holds = [await fleet.hold(f"open-{n}", 25) for n in range(4)]
    large = fleet.wait_for("large", 60)
    await fleet.until_refused(2)
    small = [fleet.wait_for(f"small-{n}", 20) for n in range(3)]
    for opened in range(2):
        await fleet.other.settle(holds[opened], 0)
        await fleet.until_refused(3 + opened)
    assert [task.done() for task in small] == [False, False, False]
    await fleet.other.settle(holds[2], 0)
    assert isinstance(await large, Reserved)
    await fleet.other.settle(holds[3], 0)
    assert isinstance(await small[0], Reserved)
    assert isinstance(await small[1], Reserved)
    small[2].cancel()


async def test_an_exhausted_limit_is_said_at_once_to_all_in_line(fleet: Fleet) -> None:
    hold = await fleet.hold("open", 100)
    waiting = [fleet.wait_for(f"task-{n}", 60) for n in range(3)]
    await fleet.until_refused(3)
    await fleet.other.settle(hold, 90)
    answers = await asyncio.gather(*waiting)
    assert all(isinstance(answer, Refused) and not answer.by_holds for answer in answers)


async def test_whose_time_is_over_gets_the_refusal_wherever_it_stands(fleet: Fleet) -> None:
    await fleet.hold("open", 100)
    head, behind = fleet.wait_for("head", 60, seconds=0.2), fleet.wait_for("behind", 60, seconds=0.1)
    for answer in (await behind, await head):
        assert isinstance(answer, Refused)
        assert answer.by_holds


async def test_what_a_dead_worker_held_is_found_without_a_ring(fleet: Fleet) -> None:
    hold = await fleet.hold("lost", 100)
    waiting = fleet.wait_for("next", 100)
    await fleet.until_refused(2)
    await fleet.other.extend([hold], lease_ms=0)
    assert isinstance(await waiting, Reserved)


async def test_a_check_that_refuses_ends_the_wait(fleet: Fleet) -> None:
    await fleet.hold("open", 100)

    async def paused() -> None:
        raise Unavailable("tenant/acme is paused")

    wish = Wish("acme", "a", 60, LEASE_MS, until=time.monotonic() + LONG)
    with pytest.raises(Unavailable):
        await fleet.room.reserve(wish, lambda: [DAY], check=paused)
    assert fleet.room._lines == {}


async def test_windows_of_a_moment_ago_are_computed_anew(fleet: Fleet) -> None:
    over = LimitWindow("day", 100, 1, 2)
    answers = iter([[over], [over], [DAY]])
    wish = Wish("acme", "a", 60, LEASE_MS, until=time.monotonic() + LONG)
    assert isinstance(await fleet.room.reserve(wish, lambda: next(answers)), Reserved)
