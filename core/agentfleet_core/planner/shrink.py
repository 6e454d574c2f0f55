"""PURE. Which workers go when fewer are wanted. A task in flight is never ended by scaling.

A worker goes in two steps: it is told to claim nothing more (drained), and once it holds nothing it becomes a
victim, and the number asked for falls by one. A drained worker is never called back: when more are wanted
meanwhile, others are asked for, and the drained ones end beside them.
"""

from dataclasses import dataclass

from agentfleet_core.planner.snapshot import PoolSnapshot, WorkerView


@dataclass(frozen=True, slots=True)
class Shrink:
    replicas: int
    drain: tuple[str, ...]
    victims: tuple[str, ...]
    finishing: int
    """Drained workers that still hold tasks."""


def claiming(pool: PoolSnapshot) -> int:
    """Workers asked for, without those told to go: they claim, or will once they have started."""
    return max(0, pool.replicas - sum(worker.draining for worker in pool.workers))


def shrink(pool: PoolSnapshot, wanted: int, *, may_shrink: bool) -> Shrink:
    """`wanted` is how many workers shall claim; `may_shrink` is false while a rule forbids to lower it."""
    drained = [worker for worker in pool.workers if worker.draining]
    finishing = sum(worker.held > 0 for worker in drained)
    ceiling = max(pool.spec.scaling.max_replicas, pool.replicas, wanted)
    if not may_shrink:
        return Shrink(min(ceiling, max(pool.replicas, wanted + len(drained))), (), (), finishing)
    surplus = max(0, claiming(pool) - wanted)
    given_up = min(surplus, _starting(pool))
    candidates = sorted((worker for worker in pool.workers if not worker.draining), key=_cheapest_first)
    told = candidates[: surplus - given_up]
    replicas = min(ceiling, max(wanted, claiming(pool) - given_up) + finishing)
    gone = [worker for worker in drained if worker.held == 0]
    return Shrink(replicas, _ids(told), _ids(gone[: max(0, pool.replicas - replicas)]), finishing + len(told))


def _starting(pool: PoolSnapshot) -> int:
    """Workers asked for that hold nothing, since the queue does not know them: they can be given up.

    A ready one that the queue does not know yet may hold one of the tasks that run, while any run.
    """
    here = len(pool.workers) if pool.running == 0 else max(pool.ready, len(pool.workers))
    return max(0, pool.replicas - here)


def _cheapest_first(worker: WorkerView) -> tuple[int, float, str]:
    """Idle ones first, the longest idle of them first; then those with the least in hand."""
    idle_since = worker.idle_since_seconds if worker.idle_since_seconds is not None else float("inf")
    return (worker.held, idle_since, worker.id)


def _ids(workers: list[WorkerView]) -> tuple[str, ...]:
    return tuple(worker.id for worker in workers)
