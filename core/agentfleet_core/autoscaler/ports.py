"""What the autoscaling loop needs from whoever runs workers: a cluster's Deployments, or processes on this machine.

`observe` answers from memory (a cache, a process table): it is called for a thousand pools in one tick and
must never wait. Whoever implements it calls `Autoscaler.wake(pool)` when what it would answer has changed.
"""

from dataclasses import dataclass
from typing import Protocol

from agentfleet_core.fleet.config import CompiledPool, FleetConfig
from agentfleet_core.planner.snapshot import PoolPlan, PoolSnapshot


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


class Actuator(Protocol):
    """Carries plans out. Implemented by the operator (Deployments) and by local mode (processes)."""

    def observe(self, pool: str) -> PoolObservation | None:
        """From memory, at once; None when the pool's runner is unknown yet (nothing is then planned for it)."""
        ...

    async def apply(self, pool: str, compiled: CompiledPool, plan: PoolPlan) -> None:
        """Make it so: ask for `plan.replicas` workers; when that is fewer, `plan.victims` are those to go.

        Called only when the plan's replicas differ from those observed. Workers in `plan.drain` have been told
        to claim nothing more before this is called. Raises `AgentfleetError` (or an API client's error) to be
        called again, backed off, with the then newest plan.
        """
        ...

    def planned(self, snapshot: PoolSnapshot, plan: PoolPlan) -> None:
        """Each plan made, changed or not, at once after it was made: for status and events. Must not wait."""
        ...


class FleetView(Protocol):
    """The part of the config follower that the loop reads."""

    @property
    def config(self) -> FleetConfig | None: ...

    def paused(
        self, *, pool: str | None = None, tenant: str | None = None, task_type: str | None = None
    ) -> str | None:
        """What is paused that concerns it, as `fleet`, `pool/NAME`, `tenant/NAME`; None when nothing is."""
        ...
