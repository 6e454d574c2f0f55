"""What the loop reads and plans, as metrics; of a pool that is gone, no gauge stays behind."""

from agentfleet_core.autoscaler.state import ScaleEvent
from agentfleet_core.planner.snapshot import PoolPlan, PoolSnapshot
from agentfleet_core.queue.envelope import PoolCounters
from agentfleet_core.telemetry import metrics

_STATES = ("waiting", "blocked", "running", "parked", "due", "orphaned")
_GAUGES = (
    metrics.QUEUE_TASKS,
    metrics.QUEUE_OLDEST_WAIT_SECONDS,
    metrics.REPLICAS_WANTED,
    metrics.REPLICAS_READY,
    metrics.POOL_LIMITED,
)


def count_plan(
    snapshot: PoolSnapshot, made: PoolPlan, before: PoolPlan | None, event: ScaleEvent | None
) -> None:
    pool = made.pool
    for word in _STATES:
        metrics.QUEUE_TASKS.labels(pool, word).set(getattr(snapshot, word))
    metrics.QUEUE_OLDEST_WAIT_SECONDS.labels(pool).set(snapshot.oldest_wait_seconds)
    metrics.REPLICAS_WANTED.labels(pool).set(made.wanted)
    metrics.REPLICAS_READY.labels(pool).set(snapshot.ready)
    if before is not None and before.limited_by and before.limited_by != made.limited_by:
        metrics.POOL_LIMITED.labels(pool, before.limited_by).set(0)
    if made.limited_by:
        metrics.POOL_LIMITED.labels(pool, made.limited_by).set(1)
    if event is not None:
        direction = "up" if event.after > event.before else "down"
        metrics.SCALE_EVENTS.labels(pool, direction, event.reason).inc()


def count_ends(pool: str, before: PoolCounters | None, now: PoolCounters) -> None:
    """Ends that no worker settled, since the reading before; before the first one nobody counted."""
    if before is None:
        return
    for (state, task_type), ended in now.unsettled_ends.items():
        more = ended - before.unsettled_ends.get((state, task_type), 0)
        if more > 0:  # less: a flushed Redis counts anew
            metrics.TASKS_ENDED.labels(pool, task_type, state).inc(more)


def forget(pool: str) -> None:
    for gauge in _GAUGES:
        gauge.remove_by_labels({"pool": pool})
