"""What the autoscaling loop needs from whoever runs workers: a cluster's Deployments, or local processes.

`observe` answers from memory (a cache, a process table): it is called for a thousand pools in one tick and
must never wait. Whoever implements it calls `Autoscaler.wake(pool)` when what it would answer has changed.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from agentfleet_core.fleet.config import CompiledPool, FleetConfig
from agentfleet_core.planner.snapshot import PoolPlan, PoolSnapshot, Trouble
from agentfleet_core.queue.envelope import PoolCounters, WorkerRecord


@dataclass(frozen=True, slots=True)
class PoolObservation:
    """A pool's workers as their runner sees them now."""

    replicas: int
    """What is asked for now (the Deployment's spec.replicas; of all live revisions together)."""
    ready: int
    """Workers that can claim."""
    rolling_out: bool = False
    """More than one revision has workers, or the runner has not yet acted on the newest template."""
    contested: bool = False
    """Another manager writes the replicas."""
    unready_workers: frozenset[str] = frozenset()
    """Ids of workers that exist and are not ready: while one of them holds a task, nothing shrinks."""
    live_workers: frozenset[str] | None = None
    """Ids of the workers that exist; None when the runner cannot name them (the queue's records are used)."""
    trouble: Trouble | None = None
    """Why workers do not come up; None when they do."""


class Actuator(Protocol):
    """Carries plans out. Implemented by the operator (Deployments) and by local mode (processes)."""

    def observe(self, pool: str) -> PoolObservation | None:
        """From memory, at once; None when the runner does not know the pool yet, so nothing is planned."""
        ...

    async def apply(self, pool: str, compiled: CompiledPool, plan: PoolPlan) -> None:
        """Make it so: ask for `plan.replicas` workers; when that is fewer, `plan.victims` are those to go.

        Called only when the plan's replicas differ from those observed. Workers in `plan.drain` have been
        told to claim nothing more before this is called. Raises `AgentfleetError` (or an API client's error)
        to be called again, backed off, with the then newest plan.
        """
        ...

    def planned(self, snapshot: PoolSnapshot, plan: PoolPlan) -> None:
        """Each plan made, changed or not, at once after it was made: for status and events. Must not wait."""
        ...


class FleetView(Protocol):
    """The part of `fleet.store.ConfigFollower` that the loop reads."""

    @property
    def config(self) -> FleetConfig: ...

    @property
    def fresh(self) -> bool:
        """False while Redis is silent."""
        ...

    def paused(
        self, *, pool: str | None = None, tenant: str | None = None, task_type: str | None = None
    ) -> str | None:
        """What is paused that concerns it, as `fleet`, `pool/NAME`; None when nothing is."""
        ...

    def changes(self) -> AsyncIterator[FleetConfig]:
        """The config now, then again after each change of it or of a switch."""
        ...


class CounterSource(Protocol):
    """Reads many pools in one round trip. Raises `Unavailable` when Redis is out of reach."""

    async def read(
        self, pools: Sequence[str], staffed: Sequence[str]
    ) -> tuple[Sequence[PoolCounters], Sequence[Sequence[WorkerRecord]]]:
        """Counters of `pools`, and the workers of those that have any."""
        ...

    async def workers(self, pools: Sequence[str]) -> Sequence[Sequence[WorkerRecord]]: ...

    async def drain(self, pool: str, workers: Sequence[str]) -> None:
        """These claim nothing more."""
        ...
