"""PURE. What travels through a pool's queue, and what comes back: the words of the queue.

An `Envelope` outlives the release that wrote it, so its fields are append only, the new ones with a default:
records.py stores them in their order here, and takes what is missing or too much for another release's.

Times that end in `_ms` are Redis's clock, milliseconds since the epoch. Money is nano-USD.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum

from agentfleet_core.checked import dataclass


class TaskState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    """For children, approval or a provider's batch; not used yet."""
    PARKED = "parked"
    """Deferred until a time: a retry, a spent budget, a throttle."""
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    """Ran out of time with some steps journaled; the output holds them."""
    FAILED = "failed"
    """Cannot succeed: the input, the handler or the answer is wrong for good."""
    DEAD = "dead"
    """Kept failing until its attempts ran out; its attempts and errors are kept."""
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in ENDED


ENDED = frozenset(
    {TaskState.SUCCEEDED, TaskState.PARTIAL, TaskState.FAILED, TaskState.DEAD, TaskState.CANCELLED}
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A task as admitted. The id is `<pool>.<26 lower-case ULID characters>`, so it names its pool.

    A new field goes behind `not_before_ms`, and has a default.
    """

    id: str
    tenant: str
    type: str
    priority: int
    revision: str
    """The pool's revision when it was admitted."""
    tier: str
    tier_reason: str
    input: bytes
    """JSON object, UTF-8."""
    labels: Mapping[str, str] = field(default_factory=dict)
    expires_after_seconds: int = 86_400
    expected_cost: int = 0
    """Nano-USD; what fair share charges the tenant at each claim, corrected when that attempt is over."""
    max_attempts: int = 3
    not_before_ms: int = 0
    """Before which it does not start. Not used yet: no submit sets it."""

    @property
    def pool(self) -> str:
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Claim:
    """A task that one worker holds until its lease ends. `attempt` is the fencing token."""

    envelope: Envelope
    attempt: int
    failures: int
    """Attempts before this one that failed (parks and drains do not count)."""
    admitted_ms: int
    started_ms: int
    """The first claim's time: the task's deadline counts from here."""
    parked_total_ms: int
    """Time spent parked since the first claim; the task's deadline stands still in it."""
    now_ms: int
    """Redis's time at this claim."""
    journal: Mapping[str, bytes]
    """Step key to entry, as journaled by earlier attempts; empty on the first."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One step's result, or a journaled fact about it; kept under (task, key), written once.

    A key that is there already keeps its first value: writing twice is safe.
    """

    task_id: str
    attempt: int
    key: str
    value: bytes
    cost: int = 0
    """Nano-USD that the step cost; added to the task's cost, once per key."""


class SettleKind(StrEnum):
    END = "end"
    """The task ends in `state`."""
    RETRY = "retry"
    """The attempt failed; another may start at `not_before_ms`. Past max_attempts it ends `dead`."""
    PARK = "park"
    """Not a failure: the task waits until `not_before_ms`, or until its tenant is unblocked."""
    HAND_BACK = "hand_back"
    """Not a failure: a draining worker gives the task back to be claimed at once."""


@dataclass(frozen=True, slots=True)
class Settlement:
    task_id: str
    attempt: int
    kind: SettleKind
    state: TaskState = TaskState.SUCCEEDED
    output: bytes = b""
    """JSON; what the client gets."""
    error: bytes = b""
    """JSON problem: {"type", "title", "detail", …}."""
    limitations: tuple[str, ...] = ()
    """What the result lacks and why, in a sentence each."""
    cost: int = 0
    """Nano-USD of the whole task so far; not needed when each step's cost was journaled."""
    reason: str = ""
    not_before_ms: int = 0
    block_tenant: bool = False
    """With PARK: the pool skips the tenant until `not_before_ms`; its others stay, not counted as work."""
    limit: str = ""
    """With PARK: the tenant's limit that refused a call."""
    limits_digest: str = ""
    """With PARK: names the tenant's limits at the refusal; where the pool knows others by now, the task is
    tried again soon and nobody is blocked.
    """


@dataclass(frozen=True, slots=True)
class Block:
    """A tenant starts nothing in a pool until then."""

    limit: str
    """The tenant's limit that refused a call."""
    until_ms: int
    """Redis's time; 0: until it is unblocked."""


class SettleOutcome(StrEnum):
    DONE = "done"
    STALE = "stale"
    """Another attempt owns the task, or it has ended: nothing was changed."""
    DEAD = "dead"
    """A RETRY whose attempts had run out: the task ended `dead`."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something a follower sees. `type`: queued, started, step, delta, parked, retry, reset, ended, …"""

    task_id: str
    attempt: int
    type: str
    data: bytes
    """JSON object."""
    id: str = ""
    """The stream id, as Last-Event-ID; set on reading."""


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task as a reader sees it; what was deleted by request is empty, its cost stays.

    The defaults are those of a task that has just been admitted.
    """

    envelope: Envelope
    admitted_ms: int
    state: TaskState = TaskState.QUEUED
    attempt: int = 0
    failures: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    not_before_ms: int = 0
    reason: str = ""
    """Why it is where it is: the park's, retry's or routing's reason word, with its sentence."""
    output: bytes = b""
    error: bytes = b""
    errors: tuple[bytes, ...] = ()
    """One JSON problem per failed attempt, oldest first."""
    limitations: tuple[str, ...] = ()
    cost: int = 0
    worker: str = ""
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class MissingCode:
    """A function that a worker could not load."""

    revision: str
    path: str
    """`module:function`."""
    why: str


@dataclass(frozen=True, slots=True)
class PoolCounters:
    """What the autoscaler reads of a pool, in one small hash; cumulative ones only grow.

    Six states, no task in two of them; queue/depth.py says what they come to. `waiting` is queued; `blocked`
    queued for a tenant that may not start now; `parked` has a time of its own in the future; `due` is parked
    and its time has come; `running` is leased; `orphaned` was, and its lease has ended.
    """

    waiting: int
    blocked: int
    running: int
    parked: int
    due: int
    orphaned: int
    oldest_waiting_ms: int
    """Admission time of the oldest claimable task, 0 when none."""
    next_due_ms: int
    """When the next parked task or blocked tenant becomes due, 0 when none."""
    admitted_total: int
    started_total: int
    ended_total: int
    busy_ms_total: int
    """Sum over settled attempts of claim-to-settle time."""
    wait_ms_total: int
    """Sum over first claims of admission (or due time) to claim."""
    spent_total: int
    """Nano-USD."""
    now_ms: int
    blocked_tasks: int = 0
    """Of all blocked tenants, queued or parked; `blocked` has the queued ones alone."""
    blocked_tenants: Mapping[str, int] = field(default_factory=dict)
    """Tenant to its tasks that no budget admits now, queued or parked, largest first; at most
    `limits.BLOCKED_NAMED` unless all were asked for.
    """
    blocks: Mapping[str, Block] = field(default_factory=dict)
    """Of the same tenants."""
    unsettled_ends: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """State and task type to how many ended so by the queue's own hand: expired, cancelled, or dead with
    their workers. Those that a worker settled are not among them."""
    missing_code: Sequence[MissingCode] = ()
    """By revision and path; at most 20, each for an hour after it was last met."""


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker process as the pool knows it."""

    id: str
    revision: str
    held: int
    draining: bool
    seen_ms: int
