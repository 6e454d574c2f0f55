"""Whose turn it is, on both queues: by weight and cost, and what a tenant has used stays with it."""

from collections import Counter

import pytest
from tests.integration.queue.queue_rooms import LEASE_MS, Room, entry, envelope, settled, tenants

from agentfleet_core.queue.envelope import SettleKind, SettleOutcome
from agentfleet_core.queue.policy import PoolPolicy, TenantPolicy

DEAR, CHEAP = 10_000_000, 1_000_000


async def one_by_one(room: Room, count: int) -> list[str]:
    """The tenants whose tasks start, each asked for alone."""
    return tenants([claim for _ in range(count) for claim in await room.claim()])


async def test_tenants_take_turns_however_much_one_asks_for(room: Room) -> None:
    await room.submit(*[envelope("loud") for _ in range(40)], *[envelope("quiet") for _ in range(4)])
    assert Counter(tenants(await room.claim(8))) == {"loud": 4, "quiet": 4}


async def test_weights_divide_the_pool(room: Room) -> None:
    await room.queue.configure(PoolPolicy(1, tenants={"big": TenantPolicy(weight=3)}))
    await room.submit(*[envelope(name) for name in ("big", "small") for _ in range(40)])
    claims = await room.claim(40)
    assert Counter(tenants(claims))["big"] == pytest.approx(30, abs=2)


async def test_share_is_in_expected_cost_not_in_tasks(room: Room) -> None:
    await room.submit(*[envelope("dear", expected_cost=10_000_000) for _ in range(30)])
    await room.submit(*[envelope("cheap", expected_cost=1_000_000) for _ in range(30)])
    taken = Counter(tenants([claim for _ in range(22) for claim in await room.claim()]))
    assert taken["cheap"] == pytest.approx(20, abs=2)


async def test_a_settle_corrects_what_the_claim_charged(room: Room) -> None:
    await room.submit(*[envelope("a", expected_cost=1_000_000) for _ in range(30)])
    await room.submit(*[envelope("b", expected_cost=1_000_000) for _ in range(30)])
    first, second = await room.claim(2)
    dear = first if first.envelope.tenant == "a" else second
    await room.queue.settle([settled(dear, cost=9_000_000)])
    assert tenants([claim for _ in range(8) for claim in await room.claim()]) == ["b"] * 8


async def test_an_attempt_that_fails_for_nothing_gives_back_what_its_claim_charged(room: Room) -> None:
    await room.submit(envelope("a", expected_cost=1_000_000, max_attempts=20))
    await room.submit(*[envelope("b", expected_cost=1_000_000) for _ in range(9)])
    claimed = []
    for _ in range(9):
        claim = await room.claim_one()
        claimed.append(claim.envelope.tenant)
        if claim.envelope.tenant == "a":
            await room.queue.settle([settled(claim, SettleKind.RETRY, error=b"{}")])
    assert Counter(claimed) == {"a": 8, "b": 1}


@pytest.mark.parametrize("kind", [SettleKind.RETRY, SettleKind.HAND_BACK])
async def test_what_an_attempt_has_cost_is_charged_at_its_end_and_once(room: Room, kind: SettleKind) -> None:
    await room.submit(envelope("a", expected_cost=1_000_000))
    await room.submit(*[envelope("b", expected_cost=1_000_000) for _ in range(30)])
    dear = next(claim for claim in await room.claim(2) if claim.envelope.tenant == "a")
    await room.queue.journal([entry(dear, "turn-1", cost=9_000_000)])
    await room.queue.settle([settled(dear, kind, error=b"{}")])
    assert tenants([claim for _ in range(7) for claim in await room.claim()]) == ["b"] * 7
    claims = [claim for _ in range(3) for claim in await room.claim()]
    [again] = [claim for claim in claims if claim.envelope.tenant == "a"]
    await room.queue.settle([settled(again)])
    await room.submit(envelope("a"))
    assert "a" in tenants(await room.claim(3)), "the second attempt has cost nothing"


@pytest.mark.parametrize("how", ["dead", "lost", "cancelled"])
async def test_an_attempt_without_a_result_is_charged_too(room: Room, how: str) -> None:
    await room.submit(*[envelope("a", expected_cost=1_000_000, max_attempts=1) for _ in range(30)])
    await room.submit(*[envelope("b", expected_cost=1_000_000) for _ in range(30)])
    dear, other = sorted(await room.claim(2), key=lambda claim: claim.envelope.tenant)
    await room.queue.settle([settled(other)])
    await room.queue.journal([entry(dear, "turn-1", cost=9_000_000)])
    if how == "lost":
        await room.pass_time(LEASE_MS + 1)
    elif how == "cancelled":
        assert await room.queue.cancel(dear.envelope.id, "Asked")
    else:
        dead = await room.queue.settle([settled(dear, SettleKind.RETRY, error=b"{}")])
        assert dead == [SettleOutcome.DEAD]
    assert tenants([claim for _ in range(8) for claim in await room.claim()]) == ["b"] * 8


async def test_an_idle_tenant_saves_nothing_up(room: Room) -> None:
    await room.submit(*[envelope("steady") for _ in range(60)], envelope("sleeper"))
    await room.claim(20)
    await room.submit(*[envelope("sleeper") for _ in range(30)])
    assert Counter(tenants(await room.claim(20)))["sleeper"] == pytest.approx(10, abs=1)


async def test_higher_priority_starts_first_inside_a_tenant(room: Room) -> None:
    await room.submit(envelope(priority=10), envelope(priority=90), envelope(priority=50))
    assert [claim.envelope.priority for claim in await room.claim(3)] == [90, 50, 10]


async def test_what_has_started_goes_on_before_what_has_not(room: Room) -> None:
    [begun] = await room.submit(envelope(priority=0))
    claim = await room.claim_one()
    await room.submit(envelope(priority=90))
    await room.queue.settle([settled(claim, SettleKind.HAND_BACK)])
    assert (await room.claim_one()).envelope.id == begun.id


async def test_a_tenant_that_empties_its_queue_comes_back_with_what_it_used(room: Room) -> None:
    await room.submit(envelope("dear", expected_cost=DEAR))
    await room.submit(*[envelope("steady", expected_cost=CHEAP) for _ in range(15)])
    assert sorted(tenants(await room.claim(2))) == ["dear", "steady"]
    await room.submit(envelope("dear", expected_cost=DEAR))
    assert await one_by_one(room, 8) == ["steady"] * 8
    assert "dear" in await one_by_one(room, 3)


async def test_a_tenant_that_is_held_back_saves_nothing_up(room: Room) -> None:
    await room.submit(*[envelope(name) for name in ("held", "steady") for _ in range(40)])
    assert tenants(await room.claim(20, paused_tenants=("held",))) == ["steady"] * 20
    assert Counter(tenants(await room.claim(20))) == {
        "held": pytest.approx(10, abs=1),
        "steady": pytest.approx(10, abs=1),
    }


async def test_a_correction_is_weighted_like_the_charge(room: Room) -> None:
    await room.queue.configure(PoolPolicy(1, tenants={"big": TenantPolicy(weight=3)}))
    await room.submit(*[envelope(name, expected_cost=CHEAP) for name in ("big", "small") for _ in range(9)])
    claims = await room.claim(2)
    [dear] = [claim for claim in claims if claim.envelope.tenant == "big"]
    await room.queue.settle([settled(dear, cost=DEAR)])
    assert await one_by_one(room, 4) == ["small", "small", "small", "big"], "10/3 of a task of small's"


async def test_one_claim_for_many_is_shared_by_cost_too(room: Room) -> None:
    await room.submit(*[envelope("dear", expected_cost=DEAR) for _ in range(20)])
    await room.submit(*[envelope("cheap", expected_cost=CHEAP) for _ in range(30)])
    await room.claim(2)
    assert await one_by_one(room, 9) == ["cheap"] * 9
    assert Counter(tenants(await room.claim(11)))["cheap"] == pytest.approx(10, abs=1)
