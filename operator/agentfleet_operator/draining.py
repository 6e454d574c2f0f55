"""PURE. What a deleted pool still has to do before it may go.

Its workers claim nothing more and finish what they hold; its Deployments go when they hold nothing, or at the
deadline, when the workers' own grace period takes over. Queued tasks stay in Redis: they wait for the pool's
return.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agentfleet_operator.rollout import WorkerState

MARGIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class DeletedPool:
    now: datetime
    deleted: datetime
    grace_seconds: float
    deployments: int
    workers: Sequence[WorkerState] | None
    """None: the queue could not be read, so what they hold is unknown."""

    @property
    def deadline(self) -> datetime:
        return self.deleted + timedelta(seconds=self.grace_seconds + MARGIN_SECONDS)


@dataclass(frozen=True, slots=True)
class DrainStep:
    drain: tuple[str, ...] = ()
    """Workers to mark draining."""
    remove_deployments: bool = False
    release: bool = False
    """Lift the finalizer: nothing of the pool is left to wait for."""
    text: str = ""
    """For people: what is waited for."""


def drain_step(pool: DeletedPool) -> DrainStep:
    if not pool.deployments:
        return DrainStep(release=True, text="no worker is left")
    if pool.now >= pool.deadline:
        return DrainStep(
            remove_deployments=True, release=True, text="its deadline passed; workers are stopped"
        )
    if pool.workers is None:
        return DrainStep(text="what its workers hold is unknown while Redis is silent")
    awake = tuple(one.id for one in pool.workers if not one.draining)
    if awake:
        return DrainStep(drain=awake, text="its workers are told to claim nothing more")
    held = sum(one.held for one in pool.workers)
    if held:
        return DrainStep(
            text=f"{held} tasks are finished first, until {pool.deadline:%H:%M:%S} UTC at the latest"
        )
    return DrainStep(remove_deployments=True, text="its workers hold nothing and leave")
