"""What the ledger leaves in Redis, and whom it rings: beyond what a caller sees of its answers."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio import Redis

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.budget.ledger import CORRECTABLE_MS, KEPT_MS, TOMBSTONE_MS, RedisLedger, _kept_ms
from agentfleet_core.budget.limits import Hold, LimitWindow, Reserved, Swept
from agentfleet_core.errors import Unavailable
from agentfleet_core.keyspace.connect import channels_of, connect
from agentfleet_core.keyspace.keys import TenantKeys
from agentfleet_core.settings import FleetId

END_MS = 9_000_000_000_000
MONTH_MS = 31 * 86_400_000
HOUR = LimitWindow("hour", 1_000, END_MS - 8_990_000_000_000, END_MS)
TOTAL = LimitWindow("total", 1_000, 0, 0)
LEASE_MS = 600_000


class Books:
    def __init__(self, redis: Redis, fleet_id: FleetId) -> None:
        self.redis = redis
        self.keys = TenantKeys(fleet_id, "acme")
        self.ledger = RedisLedger(redis, fleet_id)

    async def hold(self, name: str, *limits: LimitWindow, lease_ms: int = LEASE_MS) -> Hold:
        answer = await self.ledger.reserve("acme", name, 100, limits or (TOTAL,), lease_ms=lease_ms)
        assert isinstance(answer, Reserved)
        return answer.hold

    async def sent(self, name: str, *limits: LimitWindow) -> Hold:
        hold = await self.hold(name, *limits)
        assert await self.ledger.mark_sent(hold)
        return hold


@pytest.fixture
async def books(redis: RedisServer, fleet_id: FleetId) -> AsyncIterator[Books]:
    async with connect(redis.url) as client:
        books = Books(client, fleet_id)
        yield books


async def test_an_ended_hold_leaves_a_tombstone_that_goes_by_itself(books: Books) -> None:
    settled, released, cut, lost, swept = [await books.sent(n, TOTAL) for n in ("s", "x", "c")] + [
        await books.hold("l"), await books.sent("w")
    ]  # fmt: skip
    await books.ledger.settle(settled, 7)
    await books.ledger.settle(cut, 100, unconfirmed=True)
    await books.ledger.settle(released, 0)
    await books.ledger.extend([lost, swept], lease_ms=0)
    await books.ledger.sweep("acme")
    assert await books.redis.zcard(books.keys.leases) == 0
    for hold, kept_ms in (
        (settled, TOMBSTONE_MS), (released, TOMBSTONE_MS), (lost, TOMBSTONE_MS),
        (cut, CORRECTABLE_MS), (swept, CORRECTABLE_MS),
    ):  # fmt: skip
        left = await books.redis.pttl(books.keys.hold(hold.id))
        assert kept_ms - 60_000 < left <= kept_ms


async def test_an_open_hold_does_not_expire_and_a_released_one_is_no_longer_leased(books: Books) -> None:
    hold = await books.hold("a")
    assert await books.redis.pttl(books.keys.hold(hold.id)) == -1
    assert await books.redis.zrange(books.keys.leases, 0, -1) == [b"a"]
    await books.ledger.release(hold)
    assert await books.redis.zcard(books.keys.leases) == 0


@pytest.mark.parametrize(
    ("window", "kept_ms"),
    [
        (LimitWindow("hour", 1_000, END_MS - 3_600_000, END_MS), KEPT_MS),
        (LimitWindow("month", 1_000, END_MS - MONTH_MS, END_MS), 2 * MONTH_MS),
    ],
)
def test_the_counts_of_a_window_outlast_it_by_two_days_or_twice_its_length(
    window: LimitWindow, kept_ms: int
) -> None:
    assert _kept_ms(window) == kept_ms


async def test_a_windows_counts_go_some_time_after_its_end_and_a_totals_never(books: Books) -> None:
    await books.hold("a", HOUR, TOTAL)
    now_s, micro = await books.redis.time()
    left = await books.redis.pttl(books.keys.limit(HOUR.key))
    ends_in = END_MS - (now_s * 1000 + micro // 1000)
    assert left > ends_in + KEPT_MS - 60_000
    assert await books.redis.pttl(books.keys.limit(TOTAL.key)) == -1


async def test_a_window_that_has_gone_is_not_made_again_by_what_ends_in_it(books: Books) -> None:
    settled, cut, released, swept = (
        await books.sent("s"), await books.sent("c"), await books.hold("r"), await books.sent("w")
    )  # fmt: skip
    await books.ledger.settle(cut, 100, unconfirmed=True)
    await books.ledger.extend([swept], lease_ms=0)
    await books.redis.delete(books.keys.limit(TOTAL.key))
    await books.ledger.settle(settled, 50)
    await books.ledger.settle(cut, 50)
    await books.ledger.release(released)
    await books.ledger.sweep("acme")
    assert await books.redis.exists(books.keys.limit(TOTAL.key)) == 0


async def test_all_tenants_are_swept_together_whatever_each_has(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentfleet_core.budget.ledger.SWEPT_TOGETHER", 2)
    monkeypatch.setattr("agentfleet_core.budget.ledger.SWEEP_BATCH", 5)
    holds: list[Hold] = []
    for tenant, unsent, sent in [("acme", 7, 6), ("globex", 1, 0), ("initech", 0, 5), ("hooli", 0, 0)]:
        for number in range(unsent + sent):
            answer = await books.ledger.reserve(tenant, f"{number}", 10, [TOTAL], lease_ms=LEASE_MS)
            assert isinstance(answer, Reserved)
            assert number >= sent or await books.ledger.mark_sent(answer.hold)
            holds.append(answer.hold)
    await books.ledger.extend(holds, lease_ms=0)
    assert await books.ledger.sweep_all(["acme", "globex", "initech", "hooli"]) == {
        "acme": Swept(7, 6, 60),
        "globex": Swept(1, 0, 0),
        "initech": Swept(0, 5, 50),
        "hooli": Swept(0, 0, 0),
    }


async def settles(books: Books, hold: Hold) -> None:
    await books.ledger.settle(hold, 50)


async def releases(books: Books, hold: Hold) -> None:
    await books.ledger.release(hold)


async def sweeps(books: Books, hold: Hold) -> None:
    await books.ledger.extend([hold], lease_ms=0)
    await books.ledger.sweep("acme")


async def sweeps_by_a_reserve(books: Books, hold: Hold) -> None:
    await books.ledger.extend([hold], lease_ms=0)
    await books.hold("other")


@pytest.mark.parametrize("makes_room", [settles, releases, sweeps, sweeps_by_a_reserve])
async def test_whatever_makes_room_rings(
    books: Books, makes_room: Callable[[Books, Hold], Awaitable[None]]
) -> None:
    hold = await books.hold("a")
    async with channels_of(books.redis).listen(books.keys.room) as bell:
        await bell.after(0, 5.0)
        heard = bell.rings
        await makes_room(books, hold)
        await bell.after(heard, 5.0)
        assert bell.rings == heard + 1


async def test_what_changed_nothing_does_not_ring(books: Books) -> None:
    hold = await books.sent("a")
    await books.ledger.settle(hold, 50)
    async with channels_of(books.redis).listen(books.keys.room) as bell:
        await bell.after(0, 5.0)
        heard = bell.rings
        await books.ledger.settle(hold, 50)
        await books.ledger.release(hold)
        await books.ledger.sweep("acme")
        await settles(books, await books.hold("b"))
        await bell.after(heard, 5.0)
        assert bell.rings == heard + 1


async def test_without_redis_every_operation_says_so_and_admits_nothing(fleet_id: FleetId) -> None:
    async with connect("redis://127.0.0.1:1/0", retries=0) as nowhere:
        ledger = RedisLedger(nowhere, fleet_id)
        hold = Hold("a", "acme", 1, (TOTAL,))
        for call in (
            ledger.reserve("acme", "a", 1, [TOTAL], lease_ms=LEASE_MS),
            ledger.mark_sent(hold),
            ledger.settle(hold, 1),
            ledger.release(hold),
            ledger.extend([hold], lease_ms=LEASE_MS),
            ledger.sweep("acme"),
            ledger.balances("acme", [TOTAL]),
        ):
            with pytest.raises(Unavailable):
                await call
