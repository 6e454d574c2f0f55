"""A paid call, as the code that asks for it and the parts that make it see it.

They know the task that pays only as a `Payer`, so they need nothing of how code runs.
"""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from agentfleet_core.api.v1alpha1 import ModelTierSpec, TenantBudgetSpec
from agentfleet_core.api.v1alpha1.base import SecretKeyRef
from agentfleet_core.budget.prices import Rates
from agentfleet_core.providers.port import Provider
from agentfleet_core.queue.step import StepRecord
from agentfleet_core.routing.reasons import REROUTED
from agentfleet_core.routing.router import Route
from agentfleet_worker.attempt.attempt import Attempt

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Call:
    """A model response that is asked for under a name; what became of it is filled in."""

    key: str
    name: str
    tier: str | None
    record: StepRecord | None = None


class Payer(Protocol):
    """What a call needs of the task that pays for it."""

    @property
    def running(self) -> Attempt: ...

    @property
    def task_id(self) -> str: ...

    @property
    def task_type(self) -> str: ...

    @property
    def tenant(self) -> str: ...

    @property
    def attempt(self) -> int: ...

    def key_of(self, name: str) -> str: ...

    def recorded(self, key: str) -> StepRecord | None: ...

    async def write(self, key: str, value: bytes, record: StepRecord) -> None:
        """Into the journal. Raises `AttemptLost` when the attempt is stale."""
        ...


PAYER: ContextVar[Payer] = ContextVar("agentfleet_task")
"""The task for which code runs now, also in what it started; the transport finds by it who pays."""
CALL: ContextVar[Call | None] = ContextVar("agentfleet_call", default=None)
"""Set while our own code calls the SDK; unset, a call was made by the handler's own use of a client."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a call goes."""

    route: Route
    tier: ModelTierSpec
    """As it was when the call began: one that is deleted meanwhile serves what it has begun."""
    provider: Provider
    base_url: str
    key: SecretKeyRef | None


@dataclass(frozen=True, slots=True)
class Bounded:
    """A request as it is sent to one model, and the most that this can cost."""

    target: Target
    payload: bytes
    rates: Rates
    amount: int
    """Nano-USD, of one try."""
    counted: bool = False
    """The amount rests on the provider's own count of the prompt."""

    @property
    def request(self) -> dict[str, Any]:
        """Read again where another way is sought: kept, it would be most of a call's memory."""
        request: dict[str, Any] = orjson.loads(self.payload)
        return request


@dataclass(slots=True)
class PaidCall:
    """One message that a task asks for, through all its tries and models."""

    payer: Payer
    call: Call
    headers: Headers
    """The caller's own."""
    until: float
    """Monotonic: when the step that asks for it is over."""
    started_ms: int
    bounded: Bounded
    first: Route
    """Where it would go if nothing stood in the way."""
    given_up: set[str] = field(default_factory=set)
    """Models of its tier that it has left, or must not take."""
    budget: TenantBudgetSpec | None = None
    """The tenant's, as the newest try's hold was asked for."""
    tries: int = 0
    failures: int = 0
    """Of the present model, one after another."""
    was_counted: bool = False
    free_in: dict[str, float] = field(default_factory=dict)
    """Models that were found throttled, to the seconds that they asked for."""

    @property
    def target(self) -> Target:
        return self.bounded.target

    @property
    def tier(self) -> str:
        return self.bounded.target.route.tier

    @property
    def model(self) -> str:
        return self.bounded.target.route.model

    @property
    def instead_of(self) -> str:
        return "" if self.model == self.first.model else self.first.model

    @property
    def rerouted(self) -> str:
        return self.first.reason if self.first.reason in REROUTED else ""
