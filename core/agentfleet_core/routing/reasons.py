"""PURE. Why a task or a call went to a tier and a model: the same word on the task, in events and the API."""

from enum import StrEnum


class RouteReason(StrEnum):
    TIER_DEFAULT = "TierDefault"
    """Surfaces when the task type's default tier was taken, since nothing spoke against it."""
    TIER_REQUESTED = "TierRequested"
    """Surfaces when the submit, the handler or the task's admission named a tier that the type allows."""
    TIER_BELOW_LOWEST = "TierBelowLowest"
    """Surfaces when the tier asked for is cheaper than the type's lowest, which was taken instead."""
    TIER_ABOVE_HIGHEST = "TierAboveHighest"
    """Surfaces when the tier asked for is dearer than the type's highest, which was taken instead."""
    TIER_MISSING = "TierMissing"
    """Surfaces when the tier asked for exists no more; the default was taken instead."""
    FALLBACK_MODEL = "FallbackModel"
    """Surfaces when the tier's first model kept failing, or may not be asked for too long; a later one was
    taken."""


REROUTED = frozenset(
    {RouteReason.TIER_BELOW_LOWEST, RouteReason.TIER_ABOVE_HIGHEST, RouteReason.TIER_MISSING}
)
"""Another tier than the one asked for serves."""
