"""A paid call, as the code that asks for it and the transport that makes it both see it.

It knows the task that pays only as a `Payer`, so the transport needs nothing of how code runs.
"""

from dataclasses import dataclass
from typing import Protocol

from agentfleet_core.api.v1alpha1.base import SecretKeyRef
from agentfleet_core.budget.prices import Rates
from agentfleet_core.queue.step import StepRecord
from agentfleet_worker.attempt import Attempt


@dataclass(slots=True)
class Call:
    """A model response that is asked for under a name; the transport fills in what became of it."""

    key: str
    name: str
    tier: str | None
    record: StepRecord | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a call goes."""

    tier: str
    model: str
    base_url: str
    key: SecretKeyRef | None


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


@dataclass(slots=True)
class PaidCall:
    """One message that a task asks for, through all its tries."""

    payer: Payer
    call: Call
    target: Target
    rates: Rates
    amount: int
    """The worst case of one try, in nano-USD."""
    payload: bytes
    headers: list[tuple[bytes, bytes]]
    until: float
    """Monotonic: when the step that asks for it is over."""
    started_ms: int
    tries: int = 0
