"""What the API answers, as frozen values. `cost` is an exact Decimal in USD."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, Self, TypedDict, TypeVar

from agentfleet_core.errors import AgentfleetError, Unavailable

T = TypeVar("T")
"""A task, as the client that knows it gives it."""

ENDED = frozenset({"succeeded", "partial", "failed", "dead", "cancelled"})
"""States that a task never leaves."""


class TaskOptions(TypedDict, total=False):
    """What `submit` takes beside type and input, in both clients; what is left out follows the TaskType."""

    pool: str | None
    tier: str | None
    priority: int | None
    labels: Mapping[str, str] | None
    mode: str | None
    expires_after_seconds: int | None
    idempotency_key: str | None


class TaskFilter(TypedDict, total=False):
    """What `list` narrows by, in both clients. `tenant` is for an admin key, which must name one."""

    state: str | None
    type: str | None
    pool: str | None
    tenant: str | None
    labels: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """One task of `submit_many`; what is left out follows the TaskType."""

    type: str
    input: Mapping[str, Any] = field(default_factory=dict)
    pool: str | None = None
    tier: str | None = None
    priority: int | None = None
    labels: Mapping[str, str] | None = None
    mode: str | None = None
    """`defer` (default): wait when the budget is spent; `reject`: refuse at once with BudgetExhausted."""
    expires_after_seconds: int | None = None
    idempotency_key: str | None = None
    """The same key again is the same task; one is made up when left out."""

    def body(self) -> dict[str, Any]:
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


@dataclass(frozen=True)
class TaskInfo:
    """A task as the API sees it."""

    id: str
    type: str
    tenant: str
    pool: str
    tier: str
    state: str
    reason: str
    attempt: int
    failures: int
    priority: int
    labels: Mapping[str, str]
    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    not_before: datetime | None
    cost: Decimal
    cost_nano_usd: int
    limitations: tuple[str, ...]
    error: Mapping[str, Any] | None
    said: Mapping[str, Any] = field(default_factory=dict, kw_only=True, repr=False, compare=False)
    """The whole answer as it came."""

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @classmethod
    def fields_of(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """Constructor arguments from the API's JSON; fields that a newer server adds are left out."""
        plain = ("id", "type", "tenant", "pool", "tier", "state", "reason", "attempt", "failures", "priority",
                 "labels", "cost_nano_usd", "error")  # fmt: skip
        return {name: data[name] for name in plain} | {
            "submitted_at": datetime.fromisoformat(data["submitted_at"]),
            "started_at": _time(data["started_at"]),
            "ended_at": _time(data["ended_at"]),
            "not_before": _time(data["not_before"]),
            "cost": Decimal(data["cost_usd"]),
            "limitations": tuple(data["limitations"]),
            "said": data,
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One journaled step of a task: a model response, a tool's result, or a handler's own step."""

    name: str
    kind: str
    result: Any
    cost: Decimal
    tier: str | None
    model: str | None
    started_at: datetime | None
    ended_at: datetime | None
    usage: Mapping[str, Any] | None = None
    """Of a model's response: the tokens that it was charged for, as the provider counts them."""
    error: str | None = None
    """What a tool that failed told the model; None when it worked."""

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            name=data["name"],
            kind=data["kind"],
            result=data["result"],
            cost=Decimal(data["cost_usd"]),
            tier=data["tier"],
            model=data["model"],
            started_at=_time(data["started_at"]),
            ended_at=_time(data["ended_at"]),
            usage=data.get("usage"),
            error=data.get("error"),
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What a task came to; `output` is None until it has ended."""

    id: str
    state: str
    output: Any
    error: Mapping[str, Any] | None
    limitations: tuple[str, ...]
    """What the output lacks and why, a sentence each; of a `partial` task above all."""
    cost: Decimal
    cost_nano_usd: int
    steps: tuple[Step, ...]
    said: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The whole answer as it came."""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            id=data["id"],
            state=data["state"],
            output=data["output"],
            error=data["error"],
            limitations=tuple(data["limitations"]),
            cost=Decimal(data["cost_usd"]),
            cost_nano_usd=data["cost_nano_usd"],
            steps=tuple(Step.parse(step) for step in data["steps"]),
            said=data,
        )


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """Something that happened to a task: queued, started, step, delta, parked, retry, reset, ended.

    `reset`: drop the deltas of the `step` that it names, since its call begins anew; or, where it names none,
    those of the attempt before.
    """

    id: str
    """Its place in the stream; `follow(after=…)` goes on behind it."""
    type: str
    attempt: int
    data: Mapping[str, Any]


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class Submission(Generic[T]):
    """One item's answer of `submit_many`: a task, or the error that refused it."""

    task: T | None
    error: AgentfleetError | None = None

    def unwrap(self) -> T:
        if self.task is None:
            raise self.error or Unavailable("the server gave no answer for this item")
        return self.task


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: tuple[T, ...]
    next_cursor: str | None
