"""PURE. What becomes of a call that cannot be made as it was routed: the rules, in the order of the policy.

Each rule takes the case and says what comes next, or nothing when the case is none of its own; the first word
counts. What lets the task go on stands before what makes it wait, so a degradation that a TaskType or a
TenantBudget will declare (a smaller model, cached answers only, a step skipped) is one more rule between
`next_model` and the waits.
"""

from collections.abc import Callable
from dataclasses import dataclass

from agentfleet_core.api.v1alpha1.model_tier import ModelTierSpec
from agentfleet_core.api.v1alpha1.tenant_budget import TenantBudgetSpec
from agentfleet_core.budget.limits import Refused
from agentfleet_core.budget.money import usd
from agentfleet_core.budget.standing import spent_words
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.routing.reasons import RouteReason
from agentfleet_core.routing.router import Route

PAUSE_PARK_MS = 2_000
NO_BUDGET_PARK_MS = 60_000
KEY_PARK_MS = 5_000
HOLDS_PARK_MS = 1_000
FAILURES_BEFORE_FALLBACK = 3
"""Of one model within one call: a single 5xx or lost connection is no reason for another model."""


@dataclass(frozen=True, slots=True)
class Paused:
    """A switch or a manifest holds the call back."""

    what: str


@dataclass(frozen=True, slots=True)
class NoBudget:
    """The tenant has no TenantBudget now."""


@dataclass(frozen=True, slots=True)
class KeyMissing:
    """The tier's key cannot be read: its Secret may be mounted later."""

    detail: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """The provider takes no calls of this model before `seconds` have passed, which is after the call must
    be over.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Unhealthy:
    """The model failed in a way that may pass."""

    failures: int
    """Of this model within this call, one after another."""
    retry_after_seconds: float
    """Backoff, with what the provider asked for in it."""
    in_time: bool
    """Whether that is over before the call must be."""


Obstacle = Paused | NoBudget | KeyMissing | Throttled | Unhealthy | Refused


@dataclass(frozen=True, slots=True)
class Case:
    """One call and what stands in its way."""

    obstacle: Obstacle
    route: Route
    tier: ModelTierSpec
    tenant: str
    budget: TenantBudgetSpec | None
    now_ms: int
    countable: bool
    """The provider can still be asked how many tokens the prompt has."""
    given_up: frozenset[str] = frozenset()
    """Models of the tier that this call has left."""


@dataclass(frozen=True, slots=True)
class Again:
    """Make it by this route, after so long."""

    route: Route
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CountTokens:
    """Ask for the prompt's tokens, and reserve what it costs by them."""


@dataclass(frozen=True, slots=True)
class Park:
    """The task waits; that is no failure of its."""

    reason: AttemptReason
    detail: str
    not_before_ms: int
    """0, of a Total limit: until the limits change."""
    block_tenant: bool = False
    limit: str = ""
    """The limit that refused the call."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The call fails: whoever asked for it gets the provider's own error, and may deal with it."""


Answer = Again | CountTokens | Park | Fail
Rule = Callable[[Case], Answer | None]


def degrade(case: Case) -> Answer:
    """The first rule's word. Each obstacle has a rule of its own at the end, so there always is one."""
    return next(answer for rule in RULES if (answer := rule(case)) is not None)


def paused(case: Case) -> Answer | None:
    match case.obstacle:
        case Paused(what):
            return Park(AttemptReason.PAUSED, f"{what} is paused", case.now_ms + PAUSE_PARK_MS)
    return None


def budget_missing(case: Case) -> Answer | None:
    match case.obstacle:
        case NoBudget():
            detail = f"tenant {case.tenant} has no TenantBudget now"
            return Park(AttemptReason.BUDGET_MISSING, detail, case.now_ms + NO_BUDGET_PARK_MS)
    return None


def key_missing(case: Case) -> Answer | None:
    """All models of a tier have one key."""
    match case.obstacle:
        case KeyMissing(detail):
            return Park(AttemptReason.KEY_MISSING, detail, case.now_ms + KEY_PARK_MS)
    return None


def count_tokens(case: Case) -> Answer | None:
    """The local bound is several times what most prompts are; asked only where that decides."""
    match case.obstacle:
        case Refused(by_holds=False, stale=False) if case.countable:
            return CountTokens()
    return None


def next_model(case: Case) -> Answer | None:
    """The tier's models stand in the order of preference."""
    match case.obstacle:
        case Throttled():
            pass
        case Unhealthy(failures, _, in_time) if failures >= FAILURES_BEFORE_FALLBACK or not in_time:
            pass
        case _:
            return None
    left = case.given_up | {case.route.model}
    for model in case.tier.models:
        if model.name not in left:
            return Again(Route(case.route.tier, model.name, RouteReason.FALLBACK_MODEL))
    return None


def same_again(case: Case) -> Answer | None:
    match case.obstacle:
        case Unhealthy(_, seconds, in_time):
            return Again(case.route, seconds) if in_time else Fail()
    return None


def throttled(case: Case) -> Answer | None:
    match case.obstacle:
        case Throttled(seconds):
            detail = f"the provider asked tier {case.route.tier} to wait for another {seconds:.0f} s"
            return Park(AttemptReason.THROTTLED, detail, case.now_ms + int(seconds * 1000))
    return None


def wait_for_holds(case: Case) -> Answer | None:
    """Open holds filled the limit for as long as the call could wait: not exhausted."""
    match case.obstacle:
        case Refused() as refused if refused.by_holds or refused.stale:
            detail = f"open calls of {case.tenant} hold all that limit {refused.limit} has left"
            return Park(AttemptReason.WAITING_FOR_HOLDS, detail, case.now_ms + HOLDS_PARK_MS)
    return None


def above_limit(case: Case) -> Answer | None:
    """This task alone waits, for a larger limit: the tenant's smaller calls go on."""
    match case.obstacle:
        case Refused() as refused if refused.never_fits:
            detail = (
                f"one call may cost {usd(refused.needed)}, more than all {usd(refused.amount)} of limit "
                f"{refused.limit} of {case.tenant}; lower maxOutputTokens, shorten the prompt, or raise the "
                "limit"
            )
            return Park(AttemptReason.CALL_ABOVE_LIMIT, detail, refused.resets_at_ms, limit=refused.limit)
    return None


def exhausted(case: Case) -> Answer | None:
    """The whole tenant waits, if the limit counts all that it does here; else this task alone."""
    match case.obstacle:
        case Refused() as refused:
            limits = case.budget.limits if case.budget is not None else []
            limit = next((each for each in limits if each.name == refused.limit), None)
            counts_all = limit is not None and limit.counts_all
            detail = (
                f"a call that may cost {usd(refused.needed)} does not fit {case.tenant}'s limit "
                f"{refused.limit}: " + spent_words(refused.limit, refused.spent, refused.amount)
            )
            return Park(
                AttemptReason.BUDGET_EXHAUSTED, detail, refused.resets_at_ms, counts_all, refused.limit
            )
    return None


RULES: tuple[Rule, ...] = (
    paused,
    budget_missing,
    key_missing,
    count_tokens,
    next_model,
    same_again,
    throttled,
    wait_for_holds,
    above_limit,
    exhausted,
)
