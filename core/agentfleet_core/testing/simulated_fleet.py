"""One pool in simulated time: tasks arrive, wait, run and end; workers start, claim, drain and go.

It answers as the real things do (counters, worker records, an observation), so that the real planner runs on
it. Everything follows from the tasks and the seed; no clock, no I/O. `advance` moves time, nothing else does.
"""

import heapq
import random
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from agentfleet_core.autoscaler.ports import PoolObservation
from agentfleet_core.queue.envelope import PoolCounters, WorkerRecord

EPOCH_MS = 1_767_225_600_000
"""Simulated time 0, so that no zero looks like an absent time."""


@dataclass(frozen=True, slots=True, order=True)
class SimulatedTask:
    at_seconds: float
    service_seconds: float
    tenant: str = "acme"
    cost: int = 0
    """Nano-USD, booked at its end."""


@dataclass(slots=True)
class SimulatedWorker:
    id: str
    asked_seconds: float
    ready_seconds: float
    held: int = 0
    draining: bool = False


@dataclass(slots=True)
class Totals:
    started: int = 0
    ended: int = 0
    busy_ms: float = 0.0
    wait_ms: float = 0.0
    spent: int = 0
    admitted: int = 0
    interrupted: int = 0
    worker_seconds: float = 0.0
    waits: list[float] = field(default_factory=list)


class SimulatedFleet:
    def __init__(self, *, concurrency: int, start_seconds: float, seed: int = 1) -> None:
        self.now = 0.0
        self.concurrency = concurrency
        self.start_seconds = start_seconds
        self.replicas = 0
        self.workers: dict[str, SimulatedWorker] = {}
        self.totals = Totals()
        self.rolling_out = False
        self.contested = False
        self.paused = False
        """Nothing is claimed."""
        self.unready: set[str] = set()
        self._random = random.Random(seed)
        self._numbers = count(1)
        self._arrivals: list[SimulatedTask] = []
        self._ends: list[tuple[float, int, str, SimulatedTask, float]] = []
        self._order = count()
        self._waiting: deque[SimulatedTask] = deque()
        self._orphans: deque[SimulatedTask] = deque()
        self._blocked: dict[str, deque[SimulatedTask]] = {}

    # What happens to the fleet.

    def submit(self, tasks: Iterable[SimulatedTask]) -> None:
        for task in tasks:
            heapq.heappush(self._arrivals, task)

    def advance(self, to_seconds: float) -> None:
        while (moment := self.next_event()) is not None and moment <= to_seconds:
            self._move(moment)
            while self._arrivals and self._arrivals[0].at_seconds <= moment:
                self._admit(heapq.heappop(self._arrivals))
            while self._ends and self._ends[0][0] <= moment:
                self._end(heapq.heappop(self._ends))
            self._claim()
        self._move(to_seconds)
        self._claim()

    def next_event(self) -> float | None:
        """When something happens by itself next; None when nothing will."""
        moments = [
            worker.ready_seconds for worker in self.workers.values() if worker.ready_seconds > self.now
        ]
        if self._arrivals:
            moments.append(self._arrivals[0].at_seconds)
        if self._ends:
            moments.append(self._ends[0][0])
        return min(moments, default=None)

    def block(self, tenant: str) -> None:
        """No budget admits this tenant's tasks any more."""
        self._blocked.setdefault(tenant, deque())
        for task in [task for task in self._waiting if task.tenant == tenant]:
            self._waiting.remove(task)
            self._blocked[tenant].append(task)

    def unblock(self, tenant: str) -> None:
        self._waiting.extend(self._blocked.pop(tenant, ()))
        self._claim()

    def lose(self, worker: str) -> None:
        """It dies, and its lease ends: what it held waits for another worker, before all else."""
        self._orphans.extend(task for _, _, name, task, _ in self._ends if name == worker)
        self._ends = [entry for entry in self._ends if entry[2] != worker]
        heapq.heapify(self._ends)
        del self.workers[worker]

    # What is done to its workers.

    def drain(self, workers: Iterable[str]) -> None:
        for name in workers:
            if name in self.workers:
                self.workers[name].draining = True

    def scale(self, replicas: int, victims: Iterable[str] = ()) -> None:
        """Ask for so many. Fewer: workers that have not started go first, then `victims`, then any."""
        self.replicas = replicas
        for _ in range(replicas - len(self.workers)):
            name = f"w{next(self._numbers)}"
            self.workers[name] = SimulatedWorker(name, self.now, self.now + self.start_seconds)
        surplus = len(self.workers) - replicas
        named = set(victims)
        order = sorted(
            self.workers.values(),
            key=lambda w: (w.ready_seconds <= self.now, w.id not in named, -w.asked_seconds),
        )
        for worker in order[: max(0, surplus)]:
            self.totals.interrupted += worker.held
            del self.workers[worker.id]

    def scale_gracefully(self, replicas: int) -> None:
        """As a Deployment without our drain does: any worker goes, but may finish what it holds."""
        kept = [worker for worker in self.workers.values() if not worker.draining]
        for _ in range(replicas - len(kept)):
            name = f"w{next(self._numbers)}"
            self.workers[name] = SimulatedWorker(name, self.now, self.now + self.start_seconds)
        self._random.shuffle(kept)
        kept.sort(key=lambda worker: worker.ready_seconds <= self.now)
        for worker in kept[: max(0, len(kept) - replicas)]:
            worker.draining = True
            if worker.held == 0:
                del self.workers[worker.id]
        self.replicas = replicas

    # What observers see.

    def counters(self) -> PoolCounters:
        totals = self.totals
        return PoolCounters(
            waiting=len(self._waiting),
            blocked=sum(map(len, self._blocked.values())),
            running=len(self._ends),
            parked=0,
            due=0,
            orphaned=len(self._orphans),
            oldest_waiting_ms=EPOCH_MS + round(self._waiting[0].at_seconds * 1_000) if self._waiting else 0,
            next_due_ms=0,
            admitted_total=totals.admitted,
            started_total=totals.started,
            ended_total=totals.ended,
            busy_ms_total=round(totals.busy_ms),
            wait_ms_total=round(totals.wait_ms),
            spent_total=totals.spent,
            now_ms=EPOCH_MS + round(self.now * 1_000),
            blocked_tasks=sum(map(len, self._blocked.values())),
            blocked_tenants=Counter({tenant: len(tasks) for tenant, tasks in self._blocked.items() if tasks}),
        )

    def records(self) -> list[WorkerRecord]:
        return [
            WorkerRecord(worker.id, "r1", worker.held, worker.draining, EPOCH_MS + round(self.now * 1_000))
            for worker in self.workers.values()
            if worker.ready_seconds <= self.now
        ]

    def observation(self) -> PoolObservation:
        ready = sum(worker.ready_seconds <= self.now for worker in self.workers.values())
        return PoolObservation(
            replicas=self.replicas,
            ready=ready - len(self.unready),
            rolling_out=self.rolling_out,
            contested=self.contested,
            unready_workers=frozenset(self.unready),
            live_workers=frozenset(self.workers),
        )

    def work(self) -> int:
        """Waiting and running tasks, as a queue's lag and pending entries."""
        return len(self._orphans) + len(self._waiting) + len(self._ends)

    # Inside.

    def _move(self, to_seconds: float) -> None:
        self.totals.worker_seconds += len(self.workers) * (to_seconds - self.now)
        self.now = to_seconds

    def _admit(self, task: SimulatedTask) -> None:
        self.totals.admitted += 1
        (self._blocked.get(task.tenant, self._waiting)).append(task)

    def _claim(self) -> None:
        if self.paused or not (self._orphans or self._waiting):
            return
        free = [
            worker
            for worker in self.workers.values()
            if not worker.draining and worker.ready_seconds <= self.now and worker.held < self.concurrency
        ]
        while (queue := self._orphans or self._waiting) and free:
            index = self._random.randrange(len(free))
            worker, task = free[index], queue.popleft()
            worker.held += 1
            if worker.held == self.concurrency:
                free[index] = free[-1]
                free.pop()
            wait = self.now - task.at_seconds
            self.totals.started += 1
            self.totals.wait_ms += wait * 1_000
            self.totals.waits.append(wait)
            end = self.now + task.service_seconds
            heapq.heappush(self._ends, (end, next(self._order), worker.id, task, self.now))

    def _end(self, ended: tuple[float, int, str, SimulatedTask, float]) -> None:
        _, _, name, task, started = ended
        totals = self.totals
        totals.ended += 1
        totals.busy_ms += (self.now - started) * 1_000
        totals.spent += task.cost
        worker = self.workers.get(name)
        if worker is None:
            return
        worker.held -= 1
        if worker.draining and worker.held == 0 and len(self.workers) > self.replicas:
            del self.workers[name]
