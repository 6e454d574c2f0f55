"""PURE. From what the cluster shows to what the decisions take: the autoscaler's observation, a rollout's
view.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from agentfleet_core.autoscaler.ports import PoolObservation
from agentfleet_core.autoscaler.record import arrivals_per_minute
from agentfleet_core.planner.snapshot import PoolSnapshot
from agentfleet_core.queue.depth import claimable, held_back, running
from agentfleet_core.queue.envelope import WorkerRecord
from agentfleet_operator.rollout import PoolRollout, RevisionView, WorkerState
from agentfleet_operator.trouble import worst
from agentfleet_operator.views import DeploymentView, PodView

CONTEST_SECONDS = 300.0
"""Whoever else wrote the replicas within this time contests them; after it the number is ours again."""


def contested(deployment: DeploymentView, now: datetime) -> bool:
    if not deployment.replicas_manager:
        return False
    written = deployment.replicas_written
    return written is None or now - written < timedelta(seconds=CONTEST_SECONDS)


def is_rolling_out(deployments: Iterable[DeploymentView], current: str) -> bool:
    return any(one.replicas > 0 for one in deployments if one.revision != current)


def observation(
    deployments: Collection[DeploymentView],
    pods: Collection[PodView],
    current: str,
    wanted: int | None,
    now: datetime,
) -> PoolObservation:
    """`wanted`: asked for with success. In a rollout the Deployments' own numbers count: surge and leaving
    ones.
    """
    asked = sum(one.replicas for one in deployments)
    fought_over = any(contested(one, now) for one in deployments)
    rolling = is_rolling_out(deployments, current)
    return PoolObservation(
        replicas=asked if wanted is None or fought_over or rolling else wanted,
        ready=sum(one.ready for one in deployments),
        rolling_out=rolling or any(one.rolling for one in deployments),
        contested=fought_over,
        unready_workers=frozenset(pod.name for pod in pods if not pod.ready),
        live_workers=frozenset(pod.name for pod in pods),
        trouble=worst(
            [*(one.trouble for one in deployments), *(pod.trouble for pod in pods if not pod.ending)]
        ),
    )


def told_alike(one: PoolSnapshot, other: PoolSnapshot) -> bool:
    """Whether a status would say the same of both: an idle fleet is planned again and again for nothing."""
    return _told(one) == _told(other)


def _told(pool: PoolSnapshot) -> tuple[object, ...]:
    counts = (claimable(pool), running(pool), held_back(pool), pool.blocked_tenants)
    means = (arrivals_per_minute(pool), pool.service_seconds, pool.spend_per_hour)
    oldest = round(pool.now_seconds - pool.oldest_wait_seconds) if pool.oldest_wait_seconds > 0 else None
    return (pool.known, pool.ready, pool.paused_by, pool.trouble, oldest, *counts, *means)


def rollout_of(
    deployments: Iterable[DeploymentView], current: str, wanted: int, victims: frozenset[str]
) -> PoolRollout:
    live = sorted((one for one in deployments if not one.deleting), key=lambda one: (one.created, one.name))
    revisions = [RevisionView(one.revision, one.replicas, one.ready) for one in live]
    return PoolRollout(current=current, wanted=wanted, revisions=revisions, victims=victims)


def workers_of(pods: Iterable[PodView], records: Sequence[WorkerRecord]) -> tuple[WorkerState, ...]:
    """Pods that are not leaving already; one unknown to the queue holds and claims nothing."""
    known = {record.id: record for record in records}
    return tuple(
        WorkerState(
            id=pod.name,
            revision=pod.revision,
            ready=pod.ready,
            draining=known[pod.name].draining if pod.name in known else True,
            held=known[pod.name].held if pod.name in known else 0,
        )
        for pod in pods
        if not pod.ending
    )
