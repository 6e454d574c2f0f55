"""What the loop remembers of one pool between two plans, and the snapshot it makes of that. No I/O."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from agentfleet_core.api.v1alpha1 import TaskTypeSpec
from agentfleet_core.autoscaler.history import PoolHistory, observe
from agentfleet_core.autoscaler.ports import PoolObservation
from agentfleet_core.autoscaler.trouble import troubles
from agentfleet_core.budget.standing import blocking_words
from agentfleet_core.fleet.config import CompiledPool, CompiledTenant
from agentfleet_core.planner.explain import headline
from agentfleet_core.planner.snapshot import PoolPlan, PoolSnapshot, WorkerView
from agentfleet_core.queue.envelope import PoolCounters, WorkerRecord

KEPT_EVENTS = 20
SHOWN_WITHIN_SECONDS = 2.0
SILENT_SECONDS = 60.0
"""A worker that nobody names and that has not been heard of for so long is taken for dead."""


@dataclass(frozen=True, slots=True)
class ScaleEvent:
    """A change of the replicas asked for, and the word and sentence of the rule that made it."""

    at_ms: int
    before: int
    after: int
    reason: str
    text: str


@dataclass(slots=True)
class StartTimes:
    """How long workers take from wish to ready: a running mean over those that were seen to start."""

    mean_seconds: float = 6.0
    _asked: deque[float] = field(default_factory=lambda: deque(maxlen=256))
    _ready: int = 0
    _replicas: int = 0

    def observe(self, observation: PoolObservation, now_seconds: float) -> None:
        for _ in range(min(256, observation.replicas - self._replicas)):
            self._asked.append(now_seconds)
        for _ in range(observation.ready - self._ready):
            if self._asked:
                self.mean_seconds += 0.2 * (now_seconds - self._asked.popleft() - self.mean_seconds)
        if observation.ready >= observation.replicas:
            self._asked.clear()
        self._replicas, self._ready = observation.replicas, observation.ready


@dataclass(slots=True)
class PoolState:
    name: str
    history: PoolHistory = field(default_factory=PoolHistory)
    known: bool = False
    read_at_seconds: float = 0.0
    """Monotonic time of the last good reading."""
    workers: tuple[WorkerRecord, ...] = ()
    idle_since: dict[str, float] = field(default_factory=dict)
    starts: StartTimes = field(default_factory=StartTimes)
    recommendations: tuple[tuple[float, int], ...] = ()
    plan: PoolPlan | None = None
    snapshot: PoolSnapshot | None = None
    events: deque[ScaleEvent] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    due_at_seconds: float = 0.0
    """Monotonic time at which to look again without a signal."""
    asked: tuple[int, float] = (-1, 0.0)
    """The replicas last asked for with success, and when (monotonic)."""

    def asked_lately(self, monotonic_seconds: float) -> bool:
        """The runner was asked for this very number a moment ago and has only to show it."""
        replicas, at = self.asked
        recent = monotonic_seconds - at < SHOWN_WITHIN_SECONDS
        return recent and self.plan is not None and self.plan.replicas == replicas

    def read(self, counters: PoolCounters, monotonic_seconds: float) -> None:
        self.history = observe(self.history, counters)
        self.known = True
        self.read_at_seconds = monotonic_seconds

    def read_workers(self, records: Sequence[WorkerRecord], live: frozenset[str] | None) -> None:
        last = self.history.last
        now_ms = last.now_ms if last else 0
        self.workers = tuple(
            record
            for record in records
            if (record.id in live if live is not None else now_ms - record.seen_ms < SILENT_SECONDS * 1_000)
        )
        idle = {record.id for record in self.workers if record.held == 0}
        self.idle_since = {name: self.idle_since.get(name, now_ms / 1_000) for name in idle}

    def see(
        self,
        compiled: CompiledPool,
        seen: PoolObservation,
        paused_by: str | None,
        monotonic_seconds: float,
        types: Mapping[str, TaskTypeSpec] = MappingProxyType({}),
        tenants: Mapping[str, CompiledTenant] = MappingProxyType({}),
    ) -> PoolSnapshot:
        counters = self.history.last
        age = monotonic_seconds - self.read_at_seconds
        now = age if counters is None else counters.now_ms / 1_000 + (0.0 if self.known else age)
        self.starts.observe(seen, monotonic_seconds)
        return PoolSnapshot(
            name=self.name,
            spec=compiled.spec,
            now_seconds=now,
            known=self.known,
            waiting=counters.waiting if counters else 0,
            blocked=counters.blocked if counters else 0,
            running=counters.running if counters else 0,
            due=counters.due if counters else 0,
            orphaned=counters.orphaned if counters else 0,
            parked=counters.parked if counters else 0,
            oldest_wait_seconds=_oldest_wait(counters),
            next_due_in_seconds=_next_due(counters),
            blocked_tasks=counters.blocked_tasks if counters else 0,
            blocked_tenants=tuple(counters.blocked_tenants.items()) if counters else (),
            blocked_by=tuple(_blocked_by(counters, tenants)) if counters else (),
            history=self.history.buckets,
            service_seconds=self.history.service_seconds,
            spend_per_hour=self.history.spend_per_hour,
            start_seconds=self.starts.mean_seconds,
            replicas=seen.replicas,
            ready=seen.ready,
            workers=tuple(self._view(record, seen) for record in self.workers),
            rolling_out=seen.rolling_out,
            paused=paused_by is not None,
            idle_since_seconds=self.history.idle_since_seconds,
            recommendations=self.recommendations,
            memory=self.plan.memory if self.plan else None,
            contested=seen.contested,
            trouble=troubles(
                seen.trouble, counters.missing_code if counters else (), compiled.revision, types
            ),
            paused_by=paused_by or "",
        )

    def remember(self, snapshot: PoolSnapshot, plan: PoolPlan) -> ScaleEvent | None:
        """Keep the plan; the event that it makes, if it changes the number."""
        since = snapshot.now_seconds - snapshot.spec.scaling.stabilization_seconds
        recent = tuple(entry for entry in self.recommendations if entry[0] > since)
        self.recommendations = (*recent, (snapshot.now_seconds, plan.recommended))
        before = self.plan.replicas if self.plan else snapshot.replicas
        self.snapshot, self.plan = snapshot, plan
        if plan.replicas == before:
            return None
        why = headline(plan)
        at_ms = round(snapshot.now_seconds * 1_000)
        event = ScaleEvent(at_ms, before, plan.replicas, why.reason, why.text)
        self.events.append(event)
        return event

    def _view(self, record: WorkerRecord, seen: PoolObservation) -> WorkerView:
        return WorkerView(
            id=record.id,
            revision=record.revision,
            ready=record.id not in seen.unready_workers,
            draining=record.draining,
            held=record.held,
            idle_since_seconds=self.idle_since.get(record.id),
        )


def _blocked_by(counters: PoolCounters, tenants: Mapping[str, CompiledTenant]) -> Iterator[tuple[str, str]]:
    now = datetime.fromtimestamp(counters.now_ms / 1_000, UTC)
    for tenant, block in counters.blocks.items():
        if tenant in tenants and (words := blocking_words(tenants[tenant].spec, block, now)):
            yield tenant, words


def _oldest_wait(counters: PoolCounters | None) -> float:
    if counters is None or not counters.oldest_waiting_ms:
        return 0.0
    return max(0, counters.now_ms - counters.oldest_waiting_ms) / 1_000


def _next_due(counters: PoolCounters | None) -> float | None:
    if counters is None or not counters.next_due_ms:
        return None
    return max(0, counters.next_due_ms - counters.now_ms) / 1_000
