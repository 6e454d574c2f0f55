"""PURE. How many workers each live revision of a pool should have next.

A pool has a Deployment per live revision. Outside a rollout there is one, and it gets what is wanted. In a
rollout the new revision grows first, by a surge; as its workers become ready, as many of the old ones are
told to claim nothing more, and those that hold nothing leave. A worker that holds a task is never removed:
that is what `drain` and `victims` are for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SURGE = 0.25
"""Share of the wanted workers that may exist beside them during a rollout; at least one."""


@dataclass(frozen=True, slots=True)
class RevisionView:
    revision: str
    replicas: int
    """What its Deployment asks for."""
    ready: int


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A pod, with what the queue knows of it."""

    id: str
    revision: str
    ready: bool
    draining: bool
    held: int


@dataclass(frozen=True, slots=True)
class PoolRollout:
    """One pool now. `revisions` are its live Deployments, oldest first."""

    current: str
    wanted: int
    revisions: Sequence[RevisionView]
    workers: Sequence[WorkerState] = ()
    victims: frozenset[str] = frozenset()
    """Idle, draining workers of the current revision that the plan gave up."""

    @property
    def old(self) -> tuple[RevisionView, ...]:
        return tuple(one for one in self.revisions if one.revision != self.current)

    @property
    def now(self) -> RevisionView:
        found = (one for one in self.revisions if one.revision == self.current)
        return next(found, RevisionView(self.current, 0, 0))

    @property
    def exists(self) -> bool:
        """Whether the current revision has its Deployment."""
        return any(one.revision == self.current for one in self.revisions)


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next. Nothing in it: the pool is as it should be."""

    replicas: Mapping[str, int] = field(default_factory=dict)
    """Revision to its new number; only those that change."""
    drain: tuple[str, ...] = ()
    victims: tuple[str, ...] = ()
    """Workers that leave with the lower numbers."""
    retire: tuple[str, ...] = ()
    """Old revisions that have no worker left: their Deployments go."""


def next_step(pool: PoolRollout) -> Step:
    if not pool.old:
        return _alone(pool)
    current = _grown(pool)
    changes = {} if pool.exists and current == pool.now.replicas else {pool.current: current}
    leaving = _leaving(pool)
    idle = [one for one in leaving if one.held == 0 and (one.draining or not one.ready)]
    gone = _without_pod(pool)
    victims: list[str] = []
    for one in pool.old:
        mine = (
            [] if _unready_and_busy(pool, one.revision) else [w for w in idle if w.revision == one.revision]
        )
        left = max(0, one.replicas - len(mine) - gone.get(one.revision, 0))
        if left != one.replicas:
            changes[one.revision] = left
            victims += [w.id for w in mine]
    living = {one.revision for one in pool.workers}
    return Step(
        replicas=changes,
        drain=tuple(one.id for one in leaving if not one.draining and one.ready),
        victims=tuple(victims),
        retire=tuple(one.revision for one in pool.old if not one.replicas and one.revision not in living),
    )


def _alone(pool: PoolRollout) -> Step:
    if pool.exists and pool.wanted == pool.now.replicas:
        return Step()
    return Step(replicas={pool.current: pool.wanted}, victims=tuple(sorted(pool.victims)))


def _grown(pool: PoolRollout) -> int:
    """The current revision's next number: as many as fit beside the old ones and their surge."""
    surge = max(1, math.ceil(pool.wanted * SURGE)) if pool.wanted else 0
    old = sum(one.replicas for one in pool.old)
    room = pool.wanted + surge - old
    return max(pool.now.replicas, min(pool.wanted, room))


def _to_leave(pool: PoolRollout) -> int:
    """How many of the old workers the ready new ones replace."""
    kept = max(0, pool.wanted - min(pool.now.ready, pool.wanted))
    return max(0, sum(one.replicas for one in pool.old) - kept)


def _leaving(pool: PoolRollout) -> list[WorkerState]:
    """The old workers to go: those that drain already, then unready, then idle ones, of the oldest revision
    first.
    """
    age = {one.revision: index for index, one in enumerate(pool.old)}
    old = [one for one in pool.workers if one.revision in age]
    ranked = sorted(old, key=lambda w: (not w.draining, w.ready, w.held, age[w.revision], w.id))
    phantoms = sum(_without_pod(pool).values())
    return ranked[: max(0, _to_leave(pool) - phantoms)]


def _without_pod(pool: PoolRollout) -> dict[str, int]:
    """Replicas of old revisions that no pod stands for, oldest first, as many as may leave: lowering kills
    nothing.
    """
    most = _to_leave(pool)
    found: dict[str, int] = {}
    for one in pool.old:
        pods = sum(worker.revision == one.revision for worker in pool.workers)
        found[one.revision] = min(most, max(0, one.replicas - pods))
        most -= found[one.revision]
    return found


def _unready_and_busy(pool: PoolRollout, revision: str) -> bool:
    """A ReplicaSet removes unready pods first, whatever they cost: also one that holds a task."""
    return any(one.revision == revision and not one.ready and one.held for one in pool.workers)
