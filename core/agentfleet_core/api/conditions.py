"""PURE. Conditions and their reasons: one word for one fact, the same in status, event, metric and API.

A reason is never renamed once released. A condition is written at the first visit, even as Unknown, and its
transition time moves only when its status does; whoever calls gives `now`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

from agentfleet_core.api.v1alpha1.base import Condition, ConditionStatus


class ConditionType(StrEnum):
    """What a condition speaks about."""

    ACCEPTED = "Accepted"
    """The object is part of the fleet config as it stands; all kinds."""
    READY = "Ready"
    """The summary: it does what it is for; all kinds."""
    PAUSED = "Paused"
    """Nothing starts here until it is resumed; AgentPool, TenantBudget."""
    SCALING_LIMITED = "ScalingLimited"
    """A rule holds the pool below what its promise needs; the reason is the planner's word. AgentPool."""
    PINNED = "Pinned"
    """`spec.replicas` fixes the number of workers. AgentPool."""
    REPLICAS_CONTESTED = "ReplicasContested"
    """Another manager writes the Deployment's replicas; it is not fought. AgentPool."""
    PROGRESSING = "Progressing"
    """A new revision of the workers is rolled out. AgentPool."""
    CODE_MISSING = "CodeMissing"
    """The workers' image lacks a function that a TaskType names. AgentPool."""
    DRAINING = "Draining"
    """The pool was deleted and finishes what its workers hold. AgentPool."""
    EXHAUSTED = "Exhausted"
    """A limit refused a call which no open hold could free. TenantBudget."""


class Reason(StrEnum):
    """Why a condition has its status. The planner's words are in planner/reasons.py."""

    ACCEPTED = "Accepted"
    """Surfaces when the object is in the fleet config as written."""
    REFERENCE_NOT_FOUND = "ReferenceNotFound"
    """Surfaces when a field names an object that does not exist in the namespace."""
    REFERENCE_NOT_ACCEPTED = "ReferenceNotAccepted"
    """Surfaces when a field names an object that exists but was never accepted itself."""
    DUPLICATE_TENANT = "DuplicateTenant"
    """Surfaces on the younger of two TenantBudgets for one tenant; the older one holds."""
    TIER_OUT_OF_ORDER = "TierOutOfOrder"
    """Surfaces when a TaskType's lowest, default and highest tiers do not ascend by rank."""
    UNKNOWN_TIME_ZONE = "UnknownTimeZone"
    """Surfaces when a limit's time zone is no IANA name."""
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a word, not a password
    """Surfaces when a Secret, or the key inside it, does not exist in the namespace."""
    PROVIDER_INCOMPLETE = "ProviderIncomplete"
    """Surfaces when a ModelTier has neither a provider key nor a gateway's address."""
    NO_PRICE_YET = "NoPriceYet"
    """Surfaces when all prices of a model begin in the future: its calls would have no price."""
    INVALID_SCHEMA = "InvalidSchema"
    """Surfaces when an input or output schema is no JSON Schema, or refers to another document."""
    INVALID_TEMPLATE = "InvalidTemplate"
    """Surfaces when a prompt's `{{ … }}` is no field of the input."""
    FORBIDDEN_OVERLAY = "ForbiddenOverlay"
    """Surfaces when a pod overlay touches our labels, the service account or what the pool's spec says."""
    KEY_SHARED = "KeyShared"
    """Surfaces when two tenants have the same API key: neither could be told from the other."""

    WORKERS_READY = "WorkersReady"
    """Surfaces on Ready when all wanted workers are ready."""
    WORKERS_STARTING = "WorkersStarting"
    """Surfaces on Ready when wanted workers are not ready yet."""
    SCALED_TO_ZERO = "ScaledToZero"
    """Surfaces on Ready when the pool has no work and needs no worker."""
    NOT_ACCEPTED = "NotAccepted"
    """Surfaces on Ready when the object is not accepted and nothing older of it is in use."""
    DEPLOYMENT_REFUSED = "DeploymentRefused"
    """Surfaces on Ready when the API server refuses the pool's Deployment."""
    HANDLER_MISSING = "HandlerMissing"
    """Surfaces when a worker could not load a function that a TaskType of the pool names."""
    NOTHING_MISSING = "NothingMissing"
    """Surfaces when no worker of the current revision reported a function that it cannot load."""
    PAUSED_BY_SPEC = "PausedBySpec"
    """Surfaces when `spec.paused` is true."""
    PAUSED_BY_SWITCH = "PausedBySwitch"
    """Surfaces when `agentfleet pause` stopped it."""
    RUNNING = "Running"
    """Surfaces on Paused=False: nothing stops it."""
    PINNED_BY_SPEC = "PinnedBySpec"
    """Surfaces when `spec.replicas` is set."""
    NOT_PINNED = "NotPinned"
    """Surfaces when the planner decides the number of workers."""
    WITHIN_BOUNDS = "WithinBounds"
    """Surfaces when no rule holds the pool below what its promise needs."""
    FOREIGN_MANAGER = "ForeignManager"
    """Surfaces when another field manager owns the Deployment's replicas."""
    SOLE_MANAGER = "SoleManager"
    """Surfaces when nobody else writes the Deployment's replicas."""
    ROLLOUT_RUNNING = "RolloutRunning"
    """Surfaces while workers of an older revision live."""
    ROLLOUT_COMPLETE = "RolloutComplete"
    """Surfaces when all workers are of the current revision."""
    POOL_DELETED = "PoolDeleted"
    """Surfaces when a deleted pool finishes what its workers hold."""
    LIMIT_REACHED = "LimitReached"
    """Surfaces when a limit has no room until it resets."""
    WITHIN_LIMITS = "WithinLimits"
    """Surfaces when every limit has room."""
    NOT_OBSERVED = "NotObserved"
    """Surfaces with status Unknown when what the condition speaks about could not be read."""


def set_condition(
    conditions: Sequence[Condition],
    condition_type: str,
    status: ConditionStatus,
    reason: str,
    message: str,
    *,
    observed_generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """The conditions with one of them set: in place when it is there, else at the end.

    Equal to `conditions` when nothing but the clock changed, so that a caller can compare before it writes.
    """
    before = next((one for one in conditions if one.type == condition_type), None)
    kept = before is not None and before.status == status
    after = Condition(
        type=condition_type,
        status=status,
        reason=reason,
        message=message,
        observed_generation=observed_generation,
        last_transition_time=before.last_transition_time if before is not None and kept else timestamp(now),
    )
    if before is None:
        return (*conditions, after)
    return tuple(after if one.type == condition_type else one for one in conditions)


def timestamp(moment: datetime) -> str:
    """Kubernetes' form of a time: UTC, whole seconds, `Z`."""
    if moment.tzinfo is None:
        raise ValueError("a condition's time needs a time zone")
    return moment.astimezone(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
