"""PURE. Which change of a status is worth an event, with the status's own reason words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agentfleet_core.api.conditions import ConditionType
from agentfleet_core.planner.explain import headline
from agentfleet_core.planner.snapshot import PoolPlan


@dataclass(frozen=True, slots=True)
class Subject:
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class News:
    subject: Subject
    reason: str
    text: str
    type: Literal["Normal", "Warning"] = "Normal"
    repeats: bool = False
    """Told each time, as each change of a pool's size is."""


TROUBLE = {
    (ConditionType.ACCEPTED, "False"),
    (ConditionType.REPLICAS_CONTESTED, "True"),
    (ConditionType.CODE_MISSING, "True"),
    (ConditionType.EXHAUSTED, "True"),
}
TOLD = frozenset(ConditionType) - {ConditionType.READY}
"""Ready follows from the others, and changes with each worker that starts."""


def condition_news(subject: Subject, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[News]:
    """A condition whose status or reason changed; one that is seen for the first time only when it is
    trouble.
    """
    known = {one["type"]: one for one in before.get("conditions") or ()}
    for one in after.get("conditions") or ():
        kind, status = ConditionType(one["type"]), one["status"]
        last = known.get(kind)
        trouble = (kind, status) in TROUBLE
        if kind not in TOLD or (not trouble and (last is None or last["status"] == "Unknown")):
            continue
        if last is not None and (last["status"], last["reason"]) == (status, one["reason"]):
            continue
        yield News(subject, one["reason"], f"{kind}: {one['message']}", "Warning" if trouble else "Normal")


def scale_news(
    subject: Subject, before: Mapping[str, Any], after: Mapping[str, Any], plan: PoolPlan
) -> News | None:
    old, new = before.get("desired", 0), after["desired"]
    if old == new:
        return None
    why = headline(plan)
    return News(subject, why.reason, f"{old} -> {new} workers: {why.text}", repeats=True)
