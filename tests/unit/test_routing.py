"""Routing: the default unless somebody asks, never outside the bounds of the type, always with its reason."""

from typing import Any

import pytest

from agentfleet_core.api.v1alpha1.model_tier import ModelTierSpec
from agentfleet_core.api.v1alpha1.task_type import TierBounds
from agentfleet_core.errors import InvalidInput
from agentfleet_core.routing.reasons import RouteReason
from agentfleet_core.routing.router import allowed_tiers, route

BAND = {"input": "1", "output": "1", "cacheRead": "1", "cacheWrite5m": "1", "cacheWrite1h": "1"}


def tier(rank: int, *models: str) -> ModelTierSpec:
    prices: list[dict[str, Any]] = [{"effectiveFrom": "2026-01-01", "bands": [BAND]}]
    listed = [{"name": name, "prices": prices} for name in models]
    return ModelTierSpec.model_validate({"rank": rank, "models": listed})


TIERS = {
    "powerful": tier(3, "opus"),
    "fast": tier(1, "haiku", "older-haiku"),
    "capable": tier(2, "sonnet"),
    "frontier": tier(4, "fable"),
}
BOUNDS = TierBounds(default="capable", lowest="fast", highest="powerful")


@pytest.mark.parametrize(
    ("bounds", "asked", "chosen", "reason"),
    [
        (BOUNDS, None, "capable", RouteReason.TIER_DEFAULT),
        (BOUNDS, "fast", "fast", RouteReason.TIER_REQUESTED),
        (BOUNDS, "powerful", "powerful", RouteReason.TIER_REQUESTED),
        (BOUNDS, "frontier", "powerful", RouteReason.TIER_ABOVE_HIGHEST),
        (TierBounds(default="powerful", lowest="capable"), "fast", "capable", RouteReason.TIER_BELOW_LOWEST),
        (TierBounds(default="capable"), "fast", "capable", RouteReason.TIER_BELOW_LOWEST),
        (TierBounds(default="capable"), "powerful", "capable", RouteReason.TIER_ABOVE_HIGHEST),
        (BOUNDS, "gone", "capable", RouteReason.TIER_MISSING),
        (
            TierBounds(default="capable", lowest="gone", highest="gone"),
            "fast",
            "capable",
            RouteReason.TIER_BELOW_LOWEST,
        ),
    ],
)
def test_a_task_goes_to_the_tier_asked_for_clipped_to_its_types_bounds(
    bounds: TierBounds, asked: str | None, chosen: str, reason: RouteReason
) -> None:
    found = route(bounds, TIERS, asked=asked)
    assert (found.tier, found.reason) == (chosen, reason)


def test_bounds_that_narrowed_since_admission_move_the_task_when_it_starts() -> None:
    admitted = route(BOUNDS, TIERS, asked="powerful")
    started = route(TierBounds(default="capable", highest="capable"), TIERS, asked=admitted.tier)
    assert (started.tier, started.reason) == ("capable", RouteReason.TIER_ABOVE_HIGHEST)


def test_the_first_model_of_the_tier_serves_it() -> None:
    assert route(BOUNDS, TIERS, asked="fast").model == "haiku"


def test_a_type_without_its_default_tier_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="no ModelTier capable"):
        route(BOUNDS, {"fast": TIERS["fast"]})


def test_the_allowed_tiers_are_listed_cheapest_first() -> None:
    assert allowed_tiers(BOUNDS, TIERS) == ["fast", "capable", "powerful"]
    assert allowed_tiers(TierBounds(default="capable"), TIERS) == ["capable"]
