"""What every ledger promises, told once and held against the real one and the fake."""

from collections.abc import AsyncIterator

import pytest

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import Balance, Hold, LimitWindow, Refused, Reserved, Swept
from agentfleet_core.errors import InvalidInput
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.ports import Ledger
from agentfleet_core.settings import FleetId
from agentfleet_core.testing.memory_ledger import MemoryLedger

DOLLAR = 1_000_000_000
DAY = LimitWindow("day", 10 * DOLLAR, 0, 0)
RESEARCH = LimitWindow("research", 4 * DOLLAR, 0, 0)
LEASE_MS = 600_000


@pytest.fixture(params=["redis", "memory"])
async def ledger(request: pytest.FixtureRequest, fleet_id: FleetId) -> AsyncIterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    server: RedisServer = request.getfixturevalue("redis")
    async with connect(server.url) as redis:
        yield RedisLedger(redis, fleet_id)


async def held(ledger: Ledger, name: str, amount: int, *limits: LimitWindow) -> Hold:
    answer = await ledger.reserve("acme", name, amount, limits or (DAY,), lease_ms=LEASE_MS)
    assert isinstance(answer, Reserved)
    return answer.hold


async def sent(ledger: Ledger, name: str, amount: int, *limits: LimitWindow) -> Hold:
    hold = await held(ledger, name, amount, *limits)
    assert await ledger.mark_sent(hold)
    return hold


async def refused(ledger: Ledger, name: str, amount: int, *limits: LimitWindow) -> Refused:
    answer = await ledger.reserve("acme", name, amount, limits or (DAY,), lease_ms=LEASE_MS)
    assert isinstance(answer, Refused)
    return answer


async def counts(ledger: Ledger, limit: LimitWindow = DAY) -> tuple[int, int, int]:
    """Spent, held and unconfirmed."""
    (balance,) = await ledger.balances("acme", [limit])
    return balance.spent, balance.held, balance.unconfirmed


async def end_lease(ledger: Ledger, *holds: Hold) -> None:
    await ledger.extend(holds, lease_ms=0)


async def test_a_reserve_holds_and_a_settle_replaces_it_by_the_real_cost(ledger: Ledger) -> None:
    hold = await sent(ledger, "a", 3 * DOLLAR)
    assert await counts(ledger) == (0, 3 * DOLLAR, 0)
    settled = await ledger.settle(hold, DOLLAR)
    assert (settled.cost, settled.overrun, settled.already) == (DOLLAR, 0, False)
    assert await counts(ledger) == (DOLLAR, 0, 0)


async def test_the_last_nano_dollar_can_be_held_and_not_one_more(ledger: Ledger) -> None:
    await held(ledger, "a", 10 * DOLLAR - 1)
    refusal = await refused(ledger, "b", 2)
    assert (refusal.limit, refusal.needed, refusal.held) == ("day", 2, 10 * DOLLAR - 1)
    await held(ledger, "c", 1)
    assert (await ledger.balances("acme", [DAY])) == [Balance(DAY, 0, 10 * DOLLAR, 0)]


async def test_all_limits_hold_or_none_does(ledger: Ledger) -> None:
    refusal = await refused(ledger, "a", 5 * DOLLAR, DAY, RESEARCH)
    assert refusal.limit == "research"
    assert await counts(ledger, DAY) == (0, 0, 0)
    await held(ledger, "b", 4 * DOLLAR, DAY, RESEARCH)
    assert await counts(ledger, DAY) == await counts(ledger, RESEARCH) == (0, 4 * DOLLAR, 0)


async def test_the_same_hold_twice_is_one_hold_even_when_it_has_ended(ledger: Ledger) -> None:
    hold = await sent(ledger, "a", 3 * DOLLAR)
    assert await held(ledger, "a", 3 * DOLLAR) == hold
    assert await counts(ledger) == (0, 3 * DOLLAR, 0)
    await ledger.settle(hold, DOLLAR)
    await held(ledger, "a", 3 * DOLLAR)
    assert await counts(ledger) == (DOLLAR, 0, 0)
    assert not await ledger.mark_sent(hold)


async def test_a_settle_counts_once_and_says_so_the_second_time(ledger: Ledger) -> None:
    hold = await sent(ledger, "a", 3 * DOLLAR)
    await ledger.settle(hold, DOLLAR)
    again = await ledger.settle(hold, 2 * DOLLAR)
    assert (again.cost, again.already) == (DOLLAR, True)
    assert await counts(ledger) == (DOLLAR, 0, 0)


async def test_a_cost_above_its_hold_is_booked_in_full_and_named_overrun(ledger: Ledger) -> None:
    settled = await ledger.settle(await sent(ledger, "a", DOLLAR, DAY, RESEARCH), 5 * DOLLAR)
    assert (settled.cost, settled.overrun) == (5 * DOLLAR, 4 * DOLLAR)
    assert await counts(ledger, RESEARCH) == (5 * DOLLAR, 0, 0)
    assert not (await refused(ledger, "b", 1, DAY, RESEARCH)).by_holds


async def test_a_call_that_cost_nothing_leaves_nothing(ledger: Ledger) -> None:
    await ledger.settle(await sent(ledger, "a", DOLLAR), 0)
    free = await sent(ledger, "free", 0)
    assert (await ledger.settle(free, 0)).already is False
    assert await counts(ledger) == (0, 0, 0)


async def test_a_release_gives_back_what_was_not_sent_and_once(ledger: Ledger) -> None:
    hold = await held(ledger, "a", 3 * DOLLAR)
    other = await held(ledger, "b", 2 * DOLLAR)
    await ledger.release(hold)
    await ledger.release(hold)
    assert await counts(ledger) == (0, 2 * DOLLAR, 0)
    assert not await ledger.mark_sent(hold)
    assert (await ledger.settle(hold, DOLLAR)).already
    assert await ledger.mark_sent(other)
    await ledger.release(other)
    assert await counts(ledger) == (0, 2 * DOLLAR, 0)


async def test_a_hold_that_was_given_back_is_not_held_again_by_a_late_duplicate(ledger: Ledger) -> None:
    released = await held(ledger, "released", 3 * DOLLAR)
    await ledger.release(released)
    lost = await held(ledger, "lost", 3 * DOLLAR)
    await end_lease(ledger, lost)
    await ledger.sweep("acme")
    for hold in (released, lost):
        await held(ledger, hold.id, 3 * DOLLAR)
        assert not await ledger.mark_sent(hold)
    assert await counts(ledger) == (0, 0, 0)


async def test_a_sweep_ends_all_that_a_large_outage_left(ledger: Ledger) -> None:
    holds = [await sent(ledger, f"call-{number}", 1) for number in range(230)]
    await end_lease(ledger, *holds)
    assert await ledger.sweep("acme") == Swept(released=0, charged=230, charged_amount=230)


async def test_room_taken_by_holds_alone_is_not_exhaustion(ledger: Ledger) -> None:
    hold = await sent(ledger, "a", 8 * DOLLAR)
    assert (await refused(ledger, "b", 3 * DOLLAR)).by_holds
    await ledger.settle(hold, 8 * DOLLAR)
    refusal = await refused(ledger, "b", 3 * DOLLAR)
    assert not refusal.by_holds
    assert (refusal.spent, refusal.held, refusal.amount, refusal.resets_at_ms) == (
        8 * DOLLAR,
        0,
        10 * DOLLAR,
        0,
    )


async def test_of_several_limits_without_room_the_one_that_stays_so_longest_is_named(ledger: Ledger) -> None:
    far = 9_000_000_000_000
    hour = LimitWindow("hour", DOLLAR, 1, far)
    month = LimitWindow("month", DOLLAR, 1, far + 1)
    await ledger.settle(await sent(ledger, "a", DOLLAR, hour, month), DOLLAR)
    await held(ledger, "b", 10 * DOLLAR, DAY)
    refusal = await refused(ledger, "c", 1, hour, month, DAY)
    assert (refusal.limit, refusal.by_holds, refusal.resets_at_ms) == ("month", False, far + 1)
    total = LimitWindow("total", 0, 0, 0)
    assert (await refused(ledger, "d", 1, month, total)).limit == "total"


async def test_an_unsent_hold_whose_lease_ended_is_given_back(ledger: Ledger) -> None:
    hold = await held(ledger, "a", 3 * DOLLAR)
    await end_lease(ledger, hold)
    assert not await ledger.mark_sent(hold)
    assert await ledger.sweep("acme") == Swept(released=1, charged=0, charged_amount=0)
    assert await counts(ledger) == (0, 0, 0)
    assert await ledger.sweep("acme") == Swept(0, 0, 0)


async def test_a_sent_hold_whose_lease_ended_is_charged_at_its_worst_case(ledger: Ledger) -> None:
    hold = await sent(ledger, "a", 3 * DOLLAR, DAY, RESEARCH)
    await end_lease(ledger, hold)
    assert await ledger.sweep("acme") == Swept(released=0, charged=1, charged_amount=3 * DOLLAR)
    assert await counts(ledger, DAY) == await counts(ledger, RESEARCH) == (3 * DOLLAR, 0, 3 * DOLLAR)


async def test_a_late_settle_corrects_what_a_sweep_charged_once(ledger: Ledger) -> None:
    hold = await sent(ledger, "a", 3 * DOLLAR)
    await end_lease(ledger, hold)
    await ledger.sweep("acme")
    late = await ledger.settle(hold, DOLLAR)
    assert (late.cost, late.already) == (DOLLAR, False)
    assert await counts(ledger) == (DOLLAR, 0, 0)
    assert (await ledger.settle(hold, 2 * DOLLAR)).already
    assert await counts(ledger) == (DOLLAR, 0, 0)


async def test_a_cut_stream_is_charged_at_once_and_corrected_by_a_later_word(ledger: Ledger) -> None:
    hold = await sent(ledger, "a", 3 * DOLLAR)
    await ledger.settle(hold, 3 * DOLLAR, unconfirmed=True)
    assert await counts(ledger) == (3 * DOLLAR, 0, 3 * DOLLAR)
    assert (await ledger.settle(hold, 3 * DOLLAR, unconfirmed=True)).already
    await ledger.settle(hold, DOLLAR)
    assert await counts(ledger) == (DOLLAR, 0, 0)


async def test_a_renewed_lease_keeps_its_hold_and_an_ended_hold_does_not_come_back(ledger: Ledger) -> None:
    kept = await sent(ledger, "kept", DOLLAR)
    gone = await sent(ledger, "gone", DOLLAR)
    await end_lease(ledger, kept, gone)
    await ledger.extend([kept], lease_ms=LEASE_MS)
    assert (await ledger.sweep("acme")).charged == 1
    await ledger.extend([gone], lease_ms=LEASE_MS)
    assert await ledger.sweep("acme") == Swept(0, 0, 0)
    assert await counts(ledger) == (DOLLAR, DOLLAR, DOLLAR)


async def test_a_reserve_sweeps_by_itself_what_dead_workers_held(ledger: Ledger) -> None:
    lost = await held(ledger, "lost", 10 * DOLLAR)
    await end_lease(ledger, lost)
    await held(ledger, "next", 10 * DOLLAR)
    assert await counts(ledger) == (0, 10 * DOLLAR, 0)


async def test_a_window_that_is_not_now_is_stale_and_holds_nothing(ledger: Ledger) -> None:
    over = LimitWindow("hour", DOLLAR, 1, 2)
    to_come = LimitWindow("hour", DOLLAR, 9_000_000_000_000, 9_000_003_600_000)
    for window in (over, to_come):
        refusal = await refused(ledger, f"at-{window.start_ms}", 1, DAY, window)
        assert (refusal.stale, refusal.limit, refusal.by_holds) == (True, "hour", False)
    assert await counts(ledger) == (0, 0, 0)


async def test_each_window_of_a_limit_counts_for_itself_and_a_settle_finds_its_own(ledger: Ledger) -> None:
    now = LimitWindow("hour", DOLLAR, 1, 9_000_000_000_000)
    following = LimitWindow("hour", DOLLAR, 2, 9_000_000_000_000)
    hold = await sent(ledger, "a", DOLLAR, now)
    await held(ledger, "b", DOLLAR, following)
    await ledger.settle(hold, DOLLAR)
    assert await counts(ledger, now) == (DOLLAR, 0, 0)
    assert await counts(ledger, following) == (0, DOLLAR, 0)


async def test_a_tenant_without_limits_may_spend_and_another_tenants_money_is_its_own(ledger: Ledger) -> None:
    answer = await ledger.reserve("globex", "a", 99 * DOLLAR, (), lease_ms=LEASE_MS)
    assert isinstance(answer, Reserved)
    assert not (await ledger.settle(answer.hold, 99 * DOLLAR)).already
    await held(ledger, "a", 10 * DOLLAR)
    other = await ledger.reserve("globex", "b", 10 * DOLLAR, (DAY,), lease_ms=LEASE_MS)
    assert isinstance(other, Reserved)


@pytest.mark.parametrize("amount", [-1, 2**53])
async def test_an_amount_that_is_none_changes_nothing(ledger: Ledger, amount: int) -> None:
    hold = await sent(ledger, "a", DOLLAR)
    with pytest.raises(InvalidInput):
        await held(ledger, "b", amount)
    with pytest.raises(InvalidInput):
        await ledger.settle(hold, amount)
    assert await counts(ledger) == (0, DOLLAR, 0)


async def test_money_near_the_exact_limit_is_counted_to_the_nano_dollar(ledger: Ledger) -> None:
    vast = LimitWindow("vast", 2**53 - 1, 0, 0)
    await ledger.settle(await sent(ledger, "a", 2**53 - 3, vast), 2**53 - 3)
    await held(ledger, "b", 1, vast)
    assert (await refused(ledger, "c", 2, vast)).by_holds is True
    assert await counts(ledger, vast) == (2**53 - 3, 1, 0)
