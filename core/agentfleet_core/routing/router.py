"""PURE. Which tier and model serve a task: asked again when work starts, since the config may have changed.

What becomes of a call that its route cannot serve is `degrade`'s to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agentfleet_core.api.v1alpha1.model_tier import ModelTierSpec
from agentfleet_core.api.v1alpha1.task_type import TierBounds
from agentfleet_core.errors import InvalidInput
from agentfleet_core.routing.reasons import RouteReason

Tiers = Mapping[str, ModelTierSpec]


@dataclass(frozen=True, slots=True)
class Route:
    tier: str
    model: str
    reason: RouteReason
    """Of the last choice that changed the route, or of the tier when none did."""


def route(bounds: TierBounds, tiers: Tiers, *, asked: str | None = None) -> Route:
    """The tier asked for, clipped to the type's bounds, or the default; in it the first model, since the
    others are fallbacks (`degrade`).

    `asked` is what the submit named, or when work starts the tier that the task was admitted with. Raises
    `InvalidInput` when the default tier does not exist.
    """
    tier, reason = _tier(bounds, tiers, asked)
    return Route(tier, tiers[tier].models[0].name, reason)


def allowed_tiers(bounds: TierBounds, tiers: Tiers) -> list[str]:
    """The tiers between the type's lowest and highest, cheapest first. Raises `InvalidInput` as `route`."""
    lowest, highest = _ends(bounds, tiers)
    inside = [name for name, tier in tiers.items() if tiers[lowest].rank <= tier.rank <= tiers[highest].rank]
    return sorted(inside, key=lambda name: (tiers[name].rank, name))


def _tier(bounds: TierBounds, tiers: Tiers, asked: str | None) -> tuple[str, RouteReason]:
    lowest, highest = _ends(bounds, tiers)
    if asked is None:
        return bounds.default, RouteReason.TIER_DEFAULT
    if asked not in tiers:
        return bounds.default, RouteReason.TIER_MISSING
    if tiers[asked].rank < tiers[lowest].rank:
        return lowest, RouteReason.TIER_BELOW_LOWEST
    if tiers[asked].rank > tiers[highest].rank:
        return highest, RouteReason.TIER_ABOVE_HIGHEST
    return asked, RouteReason.TIER_REQUESTED


def _ends(bounds: TierBounds, tiers: Tiers) -> tuple[str, str]:
    """A bound that is left out, or that names no tier, is the default: bounds never widen by accident."""
    if bounds.default not in tiers:
        raise InvalidInput(f"there is no ModelTier {bounds.default} in this fleet", field="spec.tier.default")
    lowest, highest = bounds.lowest or bounds.default, bounds.highest or bounds.default
    return lowest if lowest in tiers else bounds.default, highest if highest in tiers else bounds.default
