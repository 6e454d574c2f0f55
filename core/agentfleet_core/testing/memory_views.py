"""What `MemoryQueue` tells of all its tasks: how many there are of each kind, and which may start."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from agentfleet_core.queue.envelope import Block, Envelope, PoolCounters, Settlement, TaskState
from agentfleet_core.queue.limits import ANY_REVISION, BLOCKED_NAMED
from agentfleet_core.queue.policy import PoolPolicy, TenantPolicy
from agentfleet_core.testing.memory_task import NEVER, MemoryTask


def count(
    tasks: Sequence[MemoryTask],
    blocked_until: Mapping[str, float],
    blocked_by: Mapping[str, Settlement],
    totals: Counter[str],
    unsettled: Counter[tuple[str, str]],
    now_ms: int,
) -> PoolCounters:
    """`blocked_until` holds the tenants that may not start now, and until when (ms); `blocked_by` has their
    newest blocks.
    """
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
        blocked_tasks=held_back.total(),
        blocked_tenants=dict(held_back.most_common(BLOCKED_NAMED)),
        blocks={
            tenant: Block(
                blocked_by[tenant].limit, 0 if blocked_until[tenant] == NEVER else int(blocked_until[tenant])
            )
            for tenant, _ in held_back.most_common(BLOCKED_NAMED)
        },
        unsettled_ends=dict(unsettled),
    )


def startable(
    tasks: Iterable[MemoryTask], running: Sequence[Envelope], policy: PoolPolicy,
    revisions: Sequence[str], paused_tenants: Sequence[str], paused_types: Sequence[str],
) -> dict[str, MemoryTask]:  # fmt: skip
    """Each tenant that may start one of `tasks`, with the one it would start."""
    by_tenant = Counter(envelope.tenant for envelope in running)
    by_type = Counter(envelope.type for envelope in running)
    most_of_type = policy.max_running_per_task_type or NEVER
    first: dict[str, MemoryTask] = {}
    for task in tasks:
        tenant = task.envelope.tenant
        rules = policy.tenants.get(tenant, TenantPolicy())
        most = min(rules.max_running or NEVER, policy.max_running_per_tenant or NEVER)
        if (
            task.state is TaskState.QUEUED
            and tenant not in paused_tenants
            and task.envelope.type not in paused_types
            and by_tenant[tenant] < most
            and by_type[task.envelope.type] < most_of_type
            and (not revisions or ANY_REVISION in revisions or task.envelope.revision in revisions)
            and (tenant not in first or task.rank < first[tenant].rank)
        ):
            first[tenant] = task
    return first
