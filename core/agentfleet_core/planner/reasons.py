"""PURE. Every word by which the planner explains a number: the same in status, event, metric and API."""

from enum import StrEnum


class Reason(StrEnum):
    """A rule's name. A value surfaces in a pool's plan when its rule changed the number or held it."""

    TARGET_WAIT = "TargetWait"
    """Surfaces when workers are wanted so that targetPercent of tasks start in targetWaitSeconds."""
    BURSTS_RECUR = "BurstsRecur"
    """Surfaces when workers are held that the work of this moment does not need, since bursts recur."""
    WORK_AT_HAND = "WorkAtHand"
    """Surfaces when what waits and runs now needs more than the rate of arrivals would."""
    BACKLOG_PER_WORKER = "BacklogPerWorker"
    """Surfaces when no task has ended yet, so that no service time is known."""
    FIRST_TASK = "FirstTask"
    """Surfaces when a pool at zero has work."""
    NO_WORK = "NoWork"
    """Surfaces when no task waits, runs or is expected."""
    DUE_SOON = "DueSoon"
    """Surfaces when a pool at zero gets a worker ready for a task that will be due."""
    MAX_REPLICAS = "MaxReplicas"
    """Surfaces when maxReplicas is below what the promise needs."""
    SPEND_PER_HOUR = "SpendPerHour"
    """Surfaces when more workers would spend more than maxSpendPerHour."""
    MIN_REPLICAS = "MinReplicas"
    """Surfaces when minReplicas is above what the promise needs."""
    IDLE_TO_ZERO = "IdleToZero"
    """Surfaces when the last worker of an idle pool stays for idleSecondsToZero, or went after them."""
    STABILIZATION = "Stabilization"
    """Surfaces when a lower number has not held for stabilizationSeconds yet."""
    PINNED = "Pinned"
    """Surfaces when spec.replicas sets the number."""
    PAUSED = "Paused"
    """Surfaces when the pool or the fleet is paused: the number stays as it is."""
    UNKNOWN_DATA = "UnknownData"
    """Surfaces when the queue could not be read: nothing shrinks on unknown data."""
    ROLLOUT_IN_PROGRESS = "RolloutInProgress"
    """Surfaces when a lower number waits for a rollout: a ReplicaSet knows its own pods only."""
    UNREADY_WORKER_BUSY = "UnreadyWorkerBusy"
    """Surfaces when a lower number waits for a busy worker to be ready: unready pods go first."""
    DRAINING = "Draining"
    """Surfaces when a lower number waits for workers to finish what they hold."""
    REPLICAS_CONTESTED = "ReplicasContested"
    """Surfaces when another manager writes the Deployment's replicas: its number stands."""
    BUDGET_EXHAUSTED = "BudgetExhausted"
    """Surfaces when waiting tasks do not count because no budget admits them."""


LIMITS = frozenset(
    {Reason.MAX_REPLICAS, Reason.SPEND_PER_HOUR, Reason.PAUSED, Reason.PINNED, Reason.REPLICAS_CONTESTED}
)
"""Rules that may leave a pool with less than its promise needs."""
