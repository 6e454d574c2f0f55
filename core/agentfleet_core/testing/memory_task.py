"""A task in `MemoryQueue`: its record, journal and events."""

import json
import math
from dataclasses import dataclass, field, replace

from agentfleet_core.problems import ProblemType
from agentfleet_core.queue.envelope import Claim, Envelope, Event, SettleOutcome, TaskRecord, TaskState

AGEING_MS = 10_000
RESUMED = 100
LOST_FREE = 10
EVENTS_KEPT = 200
NEVER = math.inf


@dataclass(slots=True)
class MemoryTask:
    """What the queue knows of a task; times are the queue's clock, milliseconds."""

    envelope: Envelope
    admitted_ms: int
    since_ms: float
    state: TaskState = TaskState.QUEUED
    attempt: int = 0
    failures: int = 0
    lost: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    claimed_ms: int = 0
    parked_ms: int = 0
    parked_total_ms: int = 0
    due_ms: float = 0
    lease_ends_ms: float = 0
    worker: str = ""
    reason: str = ""
    output: bytes = b""
    error: bytes = b""
    errors: list[bytes] = field(default_factory=list)
    limitations: tuple[str, ...] = ()
    cost: int = 0
    charged: int = 0
    """Of its cost: what the attempts before this one have charged to its tenant's share."""
    deferred: bool = False
    deleted: bool = False
    answer: SettleOutcome | None = None
    journal: dict[str, bytes] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    @property
    def expires_ms(self) -> int:
        return self.admitted_ms + self.envelope.expires_after_seconds * 1000

    @property
    def rank(self) -> float:
        """Order inside a tenant: waiting since, each point of priority worth `AGEING_MS`."""
        priority = self.envelope.priority + (RESUMED if self.attempt else 0)
        return self.since_ms - priority * AGEING_MS

    @property
    def used_up(self) -> bool:
        """Whether its attempts have run out; lost leases count only past a bound."""
        return self.failures - min(self.lost, LOST_FREE) >= self.envelope.max_attempts

    def event(self, kind: str, data: bytes) -> None:
        number = int(self.events[-1].id) + 1 if self.events else 1
        self.events.append(Event(self.envelope.id, self.attempt, kind, data, str(number)))
        del self.events[:-EVENTS_KEPT]

    def record(self) -> TaskRecord:
        parked, running = self.state is TaskState.PARKED, self.state is TaskState.RUNNING
        return TaskRecord(
            envelope=self.envelope,
            state=self.state,
            attempt=self.attempt,
            failures=self.failures,
            admitted_ms=self.admitted_ms,
            started_ms=self.started_ms,
            ended_ms=self.ended_ms,
            not_before_ms=int(self.due_ms) if parked else 0,
            reason=self.reason,
            output=self.output,
            error=self.error,
            errors=tuple(self.errors),
            limitations=self.limitations,
            cost=self.cost,
            worker=self.worker if running else "",
            deleted=self.deleted,
        )

    def claim(self, now_ms: int) -> Claim:
        return Claim(
            envelope=self.envelope,
            attempt=self.attempt,
            failures=self.failures,
            admitted_ms=self.admitted_ms,
            started_ms=self.started_ms,
            parked_total_ms=self.parked_total_ms,
            now_ms=now_ms,
            journal=dict(self.journal) if self.attempt > 1 else {},
        )

    def erase(self) -> None:
        self.deleted, self.output, self.error, self.limitations = True, b"", b"", ()
        self.envelope = replace(self.envelope, input=b"")
        self.errors.clear()
        self.journal.clear()
        self.events.clear()


def state_data(state: TaskState) -> bytes:
    return json.dumps({"state": state.value}, separators=(",", ":")).encode()


def problem_data(kind: ProblemType, detail: str) -> bytes:
    problem = {"type": kind.uri, "title": kind.title, "status": kind.status, "detail": detail}
    return json.dumps(problem).encode()
