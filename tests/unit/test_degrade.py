"""A call that cannot be made as it was routed: what lets the task go on comes before what makes it wait."""

from dataclasses import replace
from typing import Any

import pytest

from agentfleet_core.api.v1alpha1.model_tier import ModelTierSpec
from agentfleet_core.api.v1alpha1.tenant_budget import TenantBudgetSpec
from agentfleet_core.budget.limits import Refused
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.routing.degrade import (
    Again,
    Answer,
    Case,
    CountTokens,
    Fail,
    KeyMissing,
    NoBudget,
    Obstacle,
    Park,
    Paused,
    Throttled,
    Unhealthy,
    degrade,
)
from agentfleet_core.routing.reasons import RouteReason
from agentfleet_core.routing.router import Route

BAND = {"input": "1", "output": "1", "cacheRead": "1", "cacheWrite5m": "1", "cacheWrite1h": "1"}
NOW = 1_000_000
RESETS = 9_000_000
DOLLAR = 1_000_000_000
FIRST = Route("fast", "haiku", RouteReason.TIER_REQUESTED)
FALLBACK = Route("fast", "older-haiku", RouteReason.FALLBACK_MODEL)


def tier(*models: str) -> ModelTierSpec:
    prices: list[dict[str, Any]] = [{"effectiveFrom": "2026-01-01", "bands": [BAND]}]
    listed = [{"name": name, "prices": prices} for name in models]
    return ModelTierSpec.model_validate({"rank": 1, "models": listed})


BUDGET = TenantBudgetSpec.model_validate(
    {
        "tenant": "acme",
        "limits": [
            {"name": "day", "period": "Day", "amount": "5.00"},
            {"name": "fast-only", "period": "Day", "amount": "1.00", "tier": "fast"},
        ],
    }
)


def refused(limit: str = "day", **changes: Any) -> Refused:
    plain = Refused(limit, DOLLAR, 4 * DOLLAR + 1, 0, 5 * DOLLAR, by_holds=False, resets_at_ms=RESETS)
    return replace(plain, **changes)


def case(obstacle: Obstacle, **changes: Any) -> Case:
    plain = Case(obstacle, FIRST, tier("haiku", "older-haiku"), "acme", BUDGET, NOW, countable=False)
    return replace(plain, **changes)


def parks(answer: Answer) -> tuple[AttemptReason, int, bool]:
    assert isinstance(answer, Park)
    return answer.reason, answer.not_before_ms, answer.block_tenant


@pytest.mark.parametrize(
    ("obstacle", "reason", "until", "blocks"),
    [
        (Paused("pool/p"), AttemptReason.PAUSED, NOW + 2_000, False),
        (NoBudget(), AttemptReason.BUDGET_MISSING, NOW + 60_000, False),
        (KeyMissing("no file"), AttemptReason.KEY_MISSING, NOW + 5_000, False),
        (refused(), AttemptReason.BUDGET_EXHAUSTED, RESETS, True),
        (refused(resets_at_ms=0), AttemptReason.BUDGET_EXHAUSTED, 0, True),
        (refused("fast-only"), AttemptReason.BUDGET_EXHAUSTED, RESETS, False),
        (refused("gone-since"), AttemptReason.BUDGET_EXHAUSTED, RESETS, False),
        (refused(needed=6 * DOLLAR), AttemptReason.CALL_ABOVE_LIMIT, RESETS, False),
        (refused(by_holds=True), AttemptReason.WAITING_FOR_HOLDS, NOW + 1_000, False),
        (refused(stale=True), AttemptReason.WAITING_FOR_HOLDS, NOW + 1_000, False),
    ],
)
def test_what_cannot_be_paid_now_waits_with_its_reason(
    obstacle: Obstacle, reason: AttemptReason, until: int, blocks: bool
) -> None:
    assert parks(degrade(case(obstacle))) == (reason, until, blocks)


def test_the_sentences_say_what_stands_in_the_way_and_what_to_change() -> None:
    told = degrade(case(refused(needed=6 * DOLLAR)))
    assert isinstance(told, Park)
    assert told.detail == (
        "one call may cost $6.00, more than all $5.00 of limit day of acme; lower maxOutputTokens, shorten "
        "the prompt, or raise the limit"
    )
    spent = degrade(case(refused()))
    assert isinstance(spent, Park)
    assert spent.detail.startswith("a call that may cost $1.00 does not fit acme's limit day: $4.00")


def test_the_prompt_is_counted_before_a_budget_makes_anybody_wait() -> None:
    assert degrade(case(refused(), countable=True)) == CountTokens()
    assert degrade(case(refused(needed=6 * DOLLAR), countable=True)) == CountTokens()


@pytest.mark.parametrize("changes", [{"by_holds": True}, {"stale": True}])
def test_counting_does_not_help_where_room_will_come_anyway(changes: dict[str, bool]) -> None:
    assert parks(degrade(case(refused(**changes), countable=True)))[0] is AttemptReason.WAITING_FOR_HOLDS


def test_a_model_that_fails_is_asked_again_then_the_next_one_is() -> None:
    assert degrade(case(Unhealthy(1, 0.5, in_time=True))) == Again(FIRST, 0.5)
    assert degrade(case(Unhealthy(2, 0.5, in_time=True))) == Again(FIRST, 0.5)
    assert degrade(case(Unhealthy(3, 0.5, in_time=True))) == Again(FALLBACK)


def test_a_model_that_asks_for_more_time_than_there_is_is_left_at_once() -> None:
    assert degrade(case(Unhealthy(1, 120.0, in_time=False))) == Again(FALLBACK)
    assert degrade(case(Throttled(120.0))) == Again(FALLBACK)


def test_no_model_is_asked_twice_and_the_last_one_is_asked_until_time_is_over() -> None:
    last = {"route": FALLBACK, "given_up": frozenset({"haiku"})}
    assert degrade(case(Unhealthy(7, 0.5, in_time=True), **last)) == Again(FALLBACK, 0.5)
    assert degrade(case(Unhealthy(8, 0.5, in_time=False), **last)) == Fail()


def test_a_tier_of_one_model_waits_as_long_as_the_provider_asked_for() -> None:
    alone = case(Throttled(120.4), tier=tier("haiku"))
    assert parks(degrade(alone)) == (AttemptReason.THROTTLED, NOW + 120_400, False)
