"""PURE. What a pool's six counts come to, in the three words that kubectl, the API, the screen and the
planner share: waiting, running, parked. Every task that has not ended is in exactly one of them.
"""

from typing import Protocol


class Counts(Protocol):
    """The six states of `PoolCounters`; no task is in two of them. A snapshot of the planner has them too."""

    @property
    def waiting(self) -> int: ...

    @property
    def due(self) -> int: ...

    @property
    def orphaned(self) -> int: ...

    @property
    def running(self) -> int: ...

    @property
    def parked(self) -> int: ...

    @property
    def blocked(self) -> int: ...


def claimable(counts: Counts) -> int:
    """Waiting: a worker could claim it now. Queued, parked until a time that has come, or left by a dead
    worker.
    """
    return counts.waiting + counts.due + counts.orphaned


def running(counts: Counts) -> int:
    """Running: in the hands of a worker whose lease holds. The counters leave orphans out already."""
    return counts.running


def held_back(counts: Counts) -> int:
    """Parked: waits for a time of its own, or for its tenant's money."""
    return counts.parked + counts.blocked


def queued(counts: Counts) -> int:
    """All that a client handed in and no worker has begun or parked: what `maxQueued` bounds."""
    return counts.waiting + counts.due + counts.blocked


def has_work(counts: Counts) -> bool:
    """Something to do now, for workers that are there or would be asked for."""
    return claimable(counts) + running(counts) > 0
