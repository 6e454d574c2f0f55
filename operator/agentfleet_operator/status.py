"""PURE. What is known of a pool, a budget, a tier or a task type, as the status that people and programs
read.

The words are those of the planner and of api/conditions.py. Numbers are rounded, so that noise is not
written: a status changes when something changed that somebody would act on.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from agentfleet_core.api.conditions import ConditionType, Reason, set_condition, timestamp
from agentfleet_core.api.v1alpha1 import AgentPoolSpec
from agentfleet_core.api.v1alpha1.base import Condition, ConditionStatus
from agentfleet_core.autoscaler.ports import PoolObservation
from agentfleet_core.autoscaler.record import arrivals_per_minute
from agentfleet_core.budget.money import fixed_usd
from agentfleet_core.fleet.compile import Verdict
from agentfleet_core.fleet.pauses import Pause
from agentfleet_core.planner.snapshot import PoolPlan, PoolSnapshot, Trouble
from agentfleet_core.queue.depth import claimable, held_back, running
from agentfleet_operator.views import POOL_LABEL

Status = dict[str, Any]

WRITE_SECONDS = 10.0
"""How often the numbers of one object are written at most; a condition or the wanted number is written at
once.
"""


class Conditions:
    """The conditions of one object as they were, to be set one after the other."""

    def __init__(self, before: Mapping[str, Any], generation: int, now: datetime) -> None:
        self._now = now
        self._generation = generation
        self._all: tuple[Condition, ...] = tuple(_readable(before.get("conditions") or ()))

    def set(self, kind: ConditionType, status: bool | None, reason: str, message: str) -> None:
        """`status` None is Unknown."""
        word: ConditionStatus = "Unknown" if status is None else "True" if status else "False"
        self._all = set_condition(
            self._all, kind, word, reason, message, observed_generation=self._generation, now=self._now
        )

    def drop(self, kind: ConditionType) -> None:
        self._all = tuple(one for one in self._all if one.type != kind)

    def dump(self) -> list[Status]:
        return [one.model_dump(mode="json", by_alias=True) for one in self._all]


def _readable(conditions: Iterable[Any]) -> Iterator[Condition]:
    """What another hand wrote there in another form is left out, and so replaced."""
    for one in conditions:
        try:
            yield Condition.model_validate(one, extra="ignore")
        except ValidationError:
            continue


@dataclass(frozen=True, slots=True)
class PoolFacts:
    generation: int
    spec: AgentPoolSpec | None
    name: str
    verdict: Verdict | None
    problem: str
    """Why the object cannot be read at all; empty when it can."""
    revision: str
    seen: PoolObservation | None
    snapshot: PoolSnapshot | None
    plan: PoolPlan | None
    refused: str
    deleting: bool
    draining: str
    contested_by: str
    pause: Pause | None
    """What pauses the pool."""
    now: datetime

    @property
    def trouble(self) -> Trouble | None:
        """Why workers do not come up, while fewer are ready than the plan asks for."""
        wanted = self.plan.replicas if self.plan is not None else 0
        return self.seen.trouble if self.seen is not None and self.seen.ready < wanted else None

    @property
    def missing_code(self) -> Trouble | None:
        """What workers could not load."""
        found = self.snapshot.trouble if self.snapshot is not None else ()
        return next((one for one in found if one.reason == Reason.HANDLER_MISSING), None)


def pool_status(facts: PoolFacts, before: Mapping[str, Any]) -> Status:
    conditions = Conditions(before, facts.generation, facts.now)
    accept(conditions, facts.verdict, facts.problem)
    _pool_ready(conditions, facts)
    paused(conditions, facts.pause)
    _pool_scaling(conditions, facts)
    _pool_code(conditions, facts)
    _pool_workers(conditions, facts)
    status: Status = {
        "observedGeneration": facts.generation,
        "replicas": len(facts.seen.live_workers or ()) if facts.seen else 0,
        "selector": f"{POOL_LABEL}={facts.name}",
        "desired": facts.plan.replicas if facts.plan else 0,
        "ready": facts.seen.ready if facts.seen else 0,
        "limitedBy": _limited_by(facts),
        "revision": facts.revision,
        **_pool_figures(facts.snapshot, before),
        "conditions": conditions.dump(),
    }
    return {key: value for key, value in status.items() if value is not None}


FIGURES = (
    "waiting", "running", "parked", "oldestWaiting", "arrivalsPerMinute", "serviceSeconds", "spendPerHour",
)  # fmt: skip


def _pool_figures(snapshot: PoolSnapshot | None, before: Mapping[str, Any]) -> Status:
    """What the queue says; what it said last while it is silent."""
    if snapshot is None or not snapshot.known:
        return {key: before.get(key) for key in FIGURES}
    oldest = None
    if snapshot.oldest_wait_seconds > 0:
        since = datetime.fromtimestamp(snapshot.now_seconds - snapshot.oldest_wait_seconds, UTC)
        oldest = timestamp(since)
    service = snapshot.service_seconds
    return {
        "waiting": whole(claimable(snapshot)),
        "running": whole(running(snapshot)),
        "parked": whole(held_back(snapshot)),
        "oldestWaiting": oldest,
        "arrivalsPerMinute": two_digits(arrivals_per_minute(snapshot)),
        "serviceSeconds": None if service is None else two_digits(service),
        "spendPerHour": fixed_usd(snapshot.spend_per_hour),
    }


def _pool_ready(conditions: Conditions, facts: PoolFacts) -> None:
    ready, wanted = (facts.seen.ready if facts.seen else 0), (facts.plan.replicas if facts.plan else None)
    set_ready = conditions.set
    if facts.problem or (facts.verdict is not None and not facts.verdict.in_use):
        set_ready(ConditionType.READY, False, Reason.NOT_ACCEPTED, "see the condition Accepted")
    elif facts.refused:
        set_ready(ConditionType.READY, False, Reason.DEPLOYMENT_REFUSED, facts.refused)
    elif wanted is None:
        set_ready(ConditionType.READY, None, Reason.NOT_OBSERVED, "the pool has not been planned yet")
    elif facts.trouble is not None:
        text = f"{ready} of {wanted} workers are ready; {facts.trouble.message}"
        set_ready(ConditionType.READY, False, facts.trouble.reason, text)
    elif facts.missing_code is not None:
        set_ready(ConditionType.READY, False, facts.missing_code.reason, facts.missing_code.message)
    elif wanted == 0:
        set_ready(ConditionType.READY, True, Reason.SCALED_TO_ZERO, "no work, no worker")
    elif ready >= wanted:
        set_ready(ConditionType.READY, True, Reason.WORKERS_READY, f"{wanted} wanted, all ready")
    else:
        text = f"{ready} of {wanted} workers are ready"
        set_ready(ConditionType.READY, False, Reason.WORKERS_STARTING, text)


def _limited_by(facts: PoolFacts) -> str:
    """The planner's rule, or what keeps the workers that it asked for from coming up."""
    if facts.plan is None:
        return ""
    return facts.trouble.reason if facts.trouble is not None else facts.plan.limited_by


def paused(conditions: Conditions, pause: Pause | None) -> None:
    if pause is not None:
        conditions.set(ConditionType.PAUSED, True, pause.reason, pause.sentence)
    else:
        conditions.set(ConditionType.PAUSED, False, Reason.RUNNING, "nothing stops it")


def _pool_scaling(conditions: Conditions, facts: PoolFacts) -> None:
    plan, pinned = facts.plan, facts.spec.replicas if facts.spec else None
    if plan is None:
        text = "the pool has not been planned yet"
        conditions.set(ConditionType.SCALING_LIMITED, None, Reason.NOT_OBSERVED, text)
    elif plan.limited_by:
        note = next((note for note in reversed(plan.notes) if note.reason == plan.limited_by), None)
        text = note.text if note is not None else ""
        conditions.set(ConditionType.SCALING_LIMITED, True, plan.limited_by, text)
    else:
        text = "no rule holds the pool below what its promise needs"
        conditions.set(ConditionType.SCALING_LIMITED, False, Reason.WITHIN_BOUNDS, text)
    if pinned is not None:
        text = (
            f"spec.replicas is {pinned}; `agentfleet unpin {facts.name}` gives the number back to the planner"
        )
        conditions.set(ConditionType.PINNED, True, Reason.PINNED_BY_SPEC, text)
    else:
        conditions.set(ConditionType.PINNED, False, Reason.NOT_PINNED, "the planner decides")


def _pool_code(conditions: Conditions, facts: PoolFacts) -> None:
    missing = facts.missing_code
    if facts.snapshot is None:
        text = "the pool has not been planned yet"
        conditions.set(ConditionType.CODE_MISSING, None, Reason.NOT_OBSERVED, text)
    elif missing is not None:
        conditions.set(ConditionType.CODE_MISSING, True, missing.reason, missing.message)
    else:
        text = "no worker met a function that it cannot load"
        conditions.set(ConditionType.CODE_MISSING, False, Reason.NOTHING_MISSING, text)


def _pool_workers(conditions: Conditions, facts: PoolFacts) -> None:
    if facts.seen is not None and facts.seen.contested:
        text = (
            f"{facts.contested_by} writes spec.replicas of the Deployment; it is not fought. Take it away: "
            "an HPA on a pool's Deployment is not supported, spec.replicas of the AgentPool pins its number"
        )
        conditions.set(ConditionType.REPLICAS_CONTESTED, True, Reason.FOREIGN_MANAGER, text)
    else:
        text = "nobody else writes the Deployment's replicas"
        conditions.set(ConditionType.REPLICAS_CONTESTED, False, Reason.SOLE_MANAGER, text)
    if facts.seen is not None and facts.seen.rolling_out:
        text = f"workers are being replaced by those of revision {facts.revision}"
        conditions.set(ConditionType.PROGRESSING, True, Reason.ROLLOUT_RUNNING, text)
    else:
        text = (
            f"all workers are of revision {facts.revision}" if facts.revision else "there is no revision yet"
        )
        conditions.set(ConditionType.PROGRESSING, False, Reason.ROLLOUT_COMPLETE, text)
    if facts.deleting:
        conditions.set(
            ConditionType.DRAINING, True, Reason.POOL_DELETED, facts.draining or "the pool is deleted"
        )
    else:
        conditions.drop(ConditionType.DRAINING)


def plain_status(
    generation: int, verdict: Verdict | None, problem: str, before: Mapping[str, Any], now: datetime
) -> Status:
    """Of a TaskType or a ModelTier."""
    conditions = Conditions(before, generation, now)
    accept(conditions, verdict, problem)
    in_use(conditions, verdict, problem)
    return {"observedGeneration": generation, "conditions": conditions.dump()}


def accept(conditions: Conditions, verdict: Verdict | None, problem: str) -> None:
    if problem:
        conditions.set(ConditionType.ACCEPTED, False, Reason.NOT_ACCEPTED, problem)
    elif verdict is None:
        text = "it has not been looked at yet"
        conditions.set(ConditionType.ACCEPTED, None, Reason.NOT_OBSERVED, text)
    else:
        conditions.set(ConditionType.ACCEPTED, verdict.accepted, verdict.reason, verdict.message)


def in_use(conditions: Conditions, verdict: Verdict | None, problem: str) -> None:
    if verdict is None and not problem:
        conditions.set(ConditionType.READY, None, Reason.NOT_OBSERVED, "it has not been looked at yet")
    elif verdict is not None and verdict.in_use:
        conditions.set(ConditionType.READY, True, Reason.ACCEPTED, "the fleet works with it")
    else:
        conditions.set(ConditionType.READY, False, Reason.NOT_ACCEPTED, "see the condition Accepted")


def due_seconds(before: Mapping[str, Any], after: Status, since_last_write_seconds: float) -> float | None:
    """When to write `after` over `before`, from now; None: there is nothing to write."""
    if all(before.get(key) == after.get(key) for key in {*before, *after}):
        return None
    if before.get("desired") != after.get("desired") or _words(before) != _words(after):
        return 0.0
    return max(0.0, WRITE_SECONDS - since_last_write_seconds)


def _words(status: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
    return [(one["type"], one["status"], one["reason"]) for one in status.get("conditions") or ()]


def merge_patch(before: Mapping[str, Any], after: Status) -> Status:
    """What a JSON merge patch must say so that `before` becomes `after`."""
    patch = {key: value for key, value in after.items() if before.get(key) != value}
    return patch | {key: None for key in before if key not in after}


def whole(number: int) -> int:
    """Exact below a hundred, two digits above: 1,843 tasks are about 1,800."""
    return number if number < 100 else int(two_digits(number))


def two_digits(number: float) -> float:
    return float(f"{number:.2g}")
