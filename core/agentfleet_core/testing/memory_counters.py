"""What `MemoryQueue` counts: each task once, by its state and its tenant's."""

from collections import Counter
from collections.abc import Mapping, Sequence

from agentfleet_core.queue.envelope import PoolCounters, TaskState
from agentfleet_core.testing.memory_task import NEVER, MemoryTask

BLOCKED_NAMED = 20


def count(
    tasks: Sequence[MemoryTask],
    blocked_until: Mapping[str, float],
    totals: Counter[str],
    unsettled: Counter[tuple[str, str]],
    now_ms: int,
) -> PoolCounters:
    """`blocked_until` holds the tenants that may not start now, and until when (ms)."""
    queued = [task for task in tasks if task.state is TaskState.QUEUED]
    blocked = Counter(task.envelope.tenant for task in queued if task.envelope.tenant in blocked_until)
    deferred = [task.envelope.tenant for task in tasks if task.state is TaskState.PARKED and task.deferred]
    held_back = blocked + Counter(tenant for tenant in deferred if tenant in blocked_until)
    claimable = [task for task in queued if task.envelope.tenant not in blocked]
    parked = [task.due_ms for task in tasks if task.state is TaskState.PARKED]
    leases = [task.lease_ends_ms for task in tasks if task.state is TaskState.RUNNING]
    later = [due for due in parked if due > now_ms]
    later += [blocked_until[tenant] for tenant in blocked if blocked_until[tenant] < NEVER]
    return PoolCounters(
        waiting=len(claimable),
        blocked=sum(blocked.values()),
        running=sum(end > now_ms for end in leases),
        parked=sum(due > now_ms for due in parked),
        due=sum(due <= now_ms for due in parked),
        orphaned=sum(end <= now_ms for end in leases),
        oldest_waiting_ms=int(min((task.since_ms for task in claimable), default=0)),
        next_due_ms=int(min(later, default=0)),
        admitted_total=totals["admitted"],
        started_total=totals["started"],
        ended_total=totals["ended"],
        busy_ms_total=totals["busy_ms"],
        wait_ms_total=totals["wait_ms"],
        spent_total=totals["spent"],
        now_ms=now_ms,
        blocked_tenants=dict(held_back.most_common(BLOCKED_NAMED)),
        unsettled_ends=dict(unsettled),
    )
