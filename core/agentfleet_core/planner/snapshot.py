"""PURE. All that the planner may know, frozen, `now` inside. Times are seconds, money nano-USD."""

from dataclasses import dataclass, field

from agentfleet_core.api.v1alpha1 import AgentPoolSpec


@dataclass(frozen=True, slots=True)
class Bucket:
    """What happened in one interval of the recent past."""

    start_seconds: float
    width_seconds: float
    arrivals: int
    started: int
    ended: int
    busy_seconds: float
    """Claim-to-settle time of the attempts that ended in it."""
    spent: int


@dataclass(frozen=True, slots=True)
class WorkerView:
    id: str
    revision: str
    ready: bool
    draining: bool
    held: int
    idle_since_seconds: float | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pool's workers do not come up, or cannot do its work."""

    reason: str
    """One word: Kubernetes' own (ImagePullBackOff), or one of api/conditions.py."""
    message: str


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """One pool as observed. `known` is false when Redis could not be read: then nothing shrinks."""

    name: str
    spec: AgentPoolSpec
    now_seconds: float
    known: bool = True
    waiting: int = 0
    blocked: int = 0
    running: int = 0
    due: int = 0
    orphaned: int = 0
    parked: int = 0
    oldest_wait_seconds: float = 0.0
    next_due_in_seconds: float | None = None
    blocked_tasks: int = 0
    """Of all tenants whose budgets admit none, queued or parked; `blocked` has the queued ones alone."""
    blocked_tenants: tuple[tuple[str, int], ...] = ()
    """The largest of them, each with its tasks."""
    blocked_by: tuple[tuple[str, str], ...] = ()
    """Tenant and what it waits for, as far as that is known: `day limit resets 00:00 UTC`."""
    history: tuple[Bucket, ...] = ()
    """Oldest first, a few minutes."""
    service_seconds: float | None = None
    """Mean claim-to-settle time; None before any task ended."""
    spend_per_hour: int = 0
    """Measured, nano-USD."""
    start_seconds: float = 6.0
    """How long a worker takes from wish to ready, as measured or assumed."""
    replicas: int = 0
    """What is asked for now."""
    ready: int = 0
    workers: tuple[WorkerView, ...] = ()
    rolling_out: bool = False
    paused: bool = False
    idle_since_seconds: float | None = None
    """When the pool last had work; None while it has."""
    recommendations: tuple[tuple[float, int], ...] = ()
    """(time, wanted before stabilisation) of the recent past, oldest first."""
    contested: bool = False
    """Another manager writes the Deployment's replicas."""
    memory: object = None
    """What the last plan handed over (`PoolPlan.memory`); only the planner looks inside."""
    trouble: tuple[Trouble, ...] = ()
    """Told with the plan; no rule reads it."""
    paused_by: str = ""
    """What is paused: `fleet`, `pool/NAME`; empty when nothing is, or when the pool's own spec says so."""


@dataclass(frozen=True, slots=True)
class Note:
    """A rule that changed the number: what it left, its reason's word, and a sentence with its figures."""

    reason: str
    replicas: int
    text: str


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What to do with one pool, and why."""

    pool: str
    replicas: int
    """What to ask for now."""
    recommended: int
    """Before stabilisation; goes into the next snapshot's recommendations."""
    limited_by: str
    """The last rule that lowered the number below what the promise needs; empty when none did."""
    notes: tuple[Note, ...]
    not_counted: tuple[Note, ...] = ()
    """Work that did not scale the pool, and why."""
    drain: tuple[str, ...] = ()
    """Workers to mark draining now (idle first)."""
    victims: tuple[str, ...] = ()
    """Draining workers that hold nothing: they go with this plan's lower number."""
    next_check_seconds: float | None = None
    """When the plan can change with no new event, from now."""
    memory: object = field(default=None, compare=False, repr=False)
    """For the next snapshot."""
    wanted: int = 0
    """What the rules decided; `replicas` may still be above it while workers drain."""
