"""AgentPool: where tasks run, how many at once, and how many workers may exist."""

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from agentfleet_core.api.v1alpha1.base import API_VERSION, ObjectMeta, Resource, Usd


class Lane(StrEnum):
    INTERACTIVE = "Interactive"
    BATCH = "Batch"


class Scaling(Resource):
    """The promise that the pool keeps, and the bounds inside which it may be kept."""

    min_replicas: int = Field(0, ge=0, le=10_000)
    """Workers that always run."""
    max_replicas: int = Field(10, ge=1, le=10_000)
    """Workers that may run at most."""
    target_wait_seconds: int = Field(5, ge=1, le=86_400)
    """How long a task may wait for its start."""
    target_percent: int = Field(95, ge=50, le=99)
    """The share of tasks, in percent, that start within targetWaitSeconds."""
    stabilization_seconds: int = Field(30, ge=0, le=3_600)
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

    requests: dict[str, str] = Field(default_factory=dict, max_length=16)
    limits: dict[str, str] = Field(default_factory=dict, max_length=16)


class Worker(Resource):
    """The pod that runs the pool's tasks."""

    image: str = Field("agentfleet-worker:latest", min_length=1, max_length=512)
    """The worker image, or yours built FROM it with your package."""
    resources: WorkerResources = Field(default_factory=WorkerResources)
    pod_overlay: dict[str, Any] = Field(default_factory=dict)
    """A partial pod template spec, merged over ours; containers merge by name (ours is `worker`)."""


class AgentPoolSpec(Resource):
    lane: Lane = Lane.INTERACTIVE
    """Interactive work is waited for; Batch work is not. Immutable."""
    concurrency: int = Field(4, ge=1, le=1_000)
    """Tasks that one worker runs at once."""
    max_queued: int = Field(100_000, ge=1, le=10_000_000)
    """Waiting tasks above which the API answers 429."""
    scaling: Scaling = Field(default_factory=Scaling)
    bulkhead: Bulkhead = Field(default_factory=Bulkhead)
    worker: Worker = Field(default_factory=Worker)
    termination_grace_period_seconds: int = Field(60, ge=1, le=86_400)
    """How long a worker that was told to stop may finish what it runs."""
    replicas: int | None = Field(None, ge=0, le=10_000)
    """Pins the pool at this number (`kubectl scale` sets it, `agentfleet unpin` removes it)."""
    paused: bool = False
    """True: no task starts and no paid call is made until it is false again."""


class AgentPool(Resource):
    api_version: Literal["agentfleet.dev/v1alpha1"] = API_VERSION
    kind: Literal["AgentPool"] = "AgentPool"
    metadata: ObjectMeta
    spec: AgentPoolSpec
