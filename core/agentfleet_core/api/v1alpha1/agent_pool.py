"""AgentPool: where tasks run, how many at once, and how many workers may exist."""

from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import Field

from agentfleet_core.api.declare import Column, Names, Rule, Scale
from agentfleet_core.api.v1alpha1.base import (
    AGE,
    API_VERSION,
    Conditions,
    Kind,
    ObjectMeta,
    ObjectStatus,
    Quantity,
    Resource,
    Usd,
)


class Lane(StrEnum):
    """Whether somebody waits for the work."""

    INTERACTIVE = "Interactive"
    BATCH = "Batch"


class Scaling(Resource):
    """The promise that the pool keeps, and the bounds inside which it may be kept."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            field=".minReplicas",
            message="minReplicas is above maxReplicas; lower it, or raise maxReplicas",
            message_expression="'%d is above maxReplicas %d; lower it to %d or less, or raise maxReplicas'"
            ".format([self.minReplicas, self.maxReplicas, self.maxReplicas])",
        ),
    )

    min_replicas: int = Field(0, ge=0, le=10_000)
    """Workers that always run."""
    max_replicas: int = Field(10, ge=1, le=10_000)
    """Workers that may run at most."""
    target_wait_seconds: int = Field(5, ge=1, le=86_400)
    """How long a task may wait for its start."""
    target_percent: float = Field(95, ge=50, le=99.99)
    """The share of tasks, in percent, that start within targetWaitSeconds."""
    stabilization_seconds: int = Field(5, ge=0, le=3_600)
    """How long a lower number must hold before the pool shrinks."""
    idle_seconds_to_zero: int = Field(300, ge=0, le=86_400)
    """How long a pool with no work keeps its last worker, when minReplicas is 0."""
    max_spend_per_hour: Usd | None = None
    """USD an hour, by measured spend, that growth must not pass; a brake, the hard cap is a TenantBudget."""


class Bulkhead(Resource):
    """How much of the pool one tenant or one task type may fill at once."""

    max_running_per_tenant: int | None = Field(None, ge=1, le=100_000)
    """Tasks of one tenant that run at once."""
    max_running_per_task_type: int | None = Field(None, ge=1, le=100_000)
    """Tasks of one type that run at once."""


class WorkerResources(Resource):
    """Kubernetes resource quantities of the worker's container."""

    requests: dict[str, Quantity] = Field(default_factory=dict, max_length=16)
    """What the scheduler keeps free for the worker."""
    limits: dict[str, Quantity] = Field(default_factory=dict, max_length=16)
    """What the worker may use at most."""


class Worker(Resource):
    """The pod that runs the pool's tasks."""

    image: str = Field("agentfleet-worker:latest", min_length=1, max_length=512)
    """The worker image, or yours built FROM it with your package."""
    resources: WorkerResources = Field(default_factory=WorkerResources)
    """Of the worker's container."""
    pod_overlay: dict[str, Any] = Field(default_factory=dict)
    """A partial pod template (metadata, spec) laid over ours; containers merge by name, ours is `worker`."""


class AgentPoolSpec(Resource):
    """What a pool is for and how it scales."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.lane == oldSelf.lane",
            field=".lane",
            message="lane is immutable; make another AgentPool and name it in the task types",
        ),
    )

    lane: Lane = Lane.INTERACTIVE
    """Interactive work is waited for; Batch work is not. Immutable."""
    concurrency: int = Field(4, ge=1, le=1_000)
    """Tasks that one worker runs at once."""
    max_queued: int = Field(100_000, ge=1, le=10_000_000)
    """Waiting tasks above which the API answers 429."""
    scaling: Scaling = Field(default_factory=Scaling)
    """When workers come and go."""
    bulkhead: Bulkhead = Field(default_factory=Bulkhead)
    """What one tenant or type may fill."""
    worker: Worker = Field(default_factory=Worker)
    """The pod that runs the tasks; a change makes a new revision."""
    termination_grace_period_seconds: int = Field(60, ge=1, le=86_400)
    """How long a worker that was told to stop may finish what it runs."""
    replicas: int | None = Field(None, ge=0, le=10_000)
    """Pins the pool at this number (`kubectl scale` sets it, `agentfleet unpin` removes it)."""
    paused: bool = False
    """True: no task starts and no paid call is made until it is false again."""


class AgentPoolStatus(ObjectStatus):
    """What the pool does; numbers are rounded and written at most every 10 s."""

    replicas: int = Field(0, ge=0)
    """Workers that exist."""
    desired: int = Field(0, ge=0)
    """Workers that the planner asks for now."""
    ready: int = Field(0, ge=0)
    """Workers that claim tasks."""
    selector: str = ""
    """Selects the pool's pods; for the scale subresource."""
    revision: str = ""
    """Of the worker that new tasks are admitted for."""
    waiting: int = Field(0, ge=0)
    """Tasks that wait for a worker."""
    running: int = Field(0, ge=0)
    """Tasks that workers hold."""
    parked: int = Field(0, ge=0)
    """Tasks that wait for a time or for money."""
    oldest_waiting: str | None = Field(None, json_schema_extra={"format": "date-time"})
    """When the longest waiting task was admitted."""
    arrivals_per_minute: float | None = Field(None, ge=0)
    """Tasks admitted, over the last minutes."""
    service_seconds: float | None = Field(None, ge=0)
    """How long a task runs, on average."""
    spend_per_hour: str = ""
    """USD, as measured."""
    limited_by: str = ""
    """The rule that holds the pool below what its promise needs; empty when none does."""
    conditions: Conditions = Field(default_factory=list)


class AgentPool(Kind):
    """Workers that run tasks of one lane: how many at once, and how many workers may exist."""

    NAMES: ClassVar[Names] = Names(
        plural="agentpools",
        singular="agentpool",
        short="ap",
        columns=(
            Column("Wanted", "integer", ".status.desired", "Workers that the planner asks for."),
            Column("Ready", "integer", ".status.ready", "Workers that claim tasks."),
            Column("Waiting", "integer", ".status.waiting", "Tasks that wait for a worker."),
            Column("Running", "integer", ".status.running", "Tasks that workers hold."),
            Column("Oldest", "date", ".status.oldestWaiting", "How long the oldest task has waited."),
            Column("$/Hour", "string", ".status.spendPerHour", "Measured spend, USD an hour."),
            Column("Limited By", "string", ".status.limitedBy", "The rule that holds the pool back."),
            Column("Lane", "string", ".spec.lane", "Interactive or Batch.", wide=True),
            Column("Parked", "integer", ".status.parked", "Tasks that wait for a time or money.", wide=True),
            AGE,
        ),
        scale=Scale(".spec.replicas", ".status.replicas", ".status.selector"),
    )

    api_version: Literal["agentfleet.dev/v1alpha1"] = API_VERSION
    kind: Literal["AgentPool"] = "AgentPool"
    metadata: ObjectMeta
    spec: AgentPoolSpec
    status: AgentPoolStatus = Field(default_factory=AgentPoolStatus)
