"""A pool's queue in memory, for unit tests: what `queue.streams.PoolQueue` does, with a clock of your own.

`advance` moves the clock, so leases end and parked tasks become due without a sleep. One event loop only.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from agentfleet_core.errors import DeadlineExceeded, InvalidInput, NotFound
from agentfleet_core.problems import TABLE, WORKER_LOST
from agentfleet_core.queue.calls import RETENTION_SECONDS, check_entry, check_event, check_settlement
from agentfleet_core.queue.envelope import (
    Claim,
    Envelope,
    Event,
    JournalEntry,
    PoolCounters,
    SettleKind,
    Settlement,
    SettleOutcome,
    TaskRecord,
    TaskState,
    WorkerRecord,
)
from agentfleet_core.queue.ids import minted_ms, pool_of
from agentfleet_core.queue.limits import MAX_INPUT_BYTES, bounded
from agentfleet_core.queue.policy import PoolPolicy, TenantPolicy
from agentfleet_core.queue.reasons import TaskReason
from agentfleet_core.queue.records import one_line
from agentfleet_core.testing.memory_task import NEVER, MemoryTask, problem_data, state_data
from agentfleet_core.testing.memory_views import count, startable

BASE_CHARGE = 1_000
OTHER_LIMITS_MS = 1_000


class MemoryQueue:
    """See `ports.Queue`. `now_ms` starts where the ids' times are, so that ids made now are admitted."""

    def __init__(self, pool: str, *, now_ms: int, retention_seconds: int = RETENTION_SECONDS) -> None:
        self.pool = pool
        self.now_ms = now_ms
        self.policy = PoolPolicy()
        self._retention_ms = retention_seconds * 1000
        self._tasks: dict[str, MemoryTask] = {}
        self._virtual: dict[str, float] = {}
        self._virtual_now = 0.0
        self._blocked: dict[str, float] = {}
        self._blocked_by: dict[str, Settlement] = {}
        self._workers: dict[str, WorkerRecord] = {}
        self._draining: set[str] = set()
        self._totals: Counter[str] = Counter()
        self._unsettled: Counter[tuple[str, str]] = Counter()
        self._changed = asyncio.Condition()

    async def advance(self, milliseconds: int) -> None:
        """Move the clock; what becomes due is found by the next claim, as in Redis."""
        self.now_ms += milliseconds
        await self._notify()

    async def submit(self, envelopes: Sequence[Envelope]) -> list[bool]:
        answers = []
        for envelope in envelopes:
            bounded("input", envelope.input, MAX_INPUT_BYTES)
            if pool_of(envelope.id) != self.pool:
                raise InvalidInput(f"task {envelope.id} is not of pool {self.pool}", field="id")
            old = self.now_ms - minted_ms(envelope.id) > self._retention_ms * 0.95
            answers.append(not old and envelope.id not in self._tasks)
            if answers[-1]:
                task = MemoryTask(envelope, self.now_ms, self.now_ms)
                self._tasks[envelope.id] = task
                self._totals["admitted"] += 1
                if envelope.not_before_ms > self.now_ms:
                    self._park(task, envelope.not_before_ms, deferred=False)
        await self._notify()
        return answers

    async def claim(
        self,
        worker: str,
        slots: int,
        *,
        lease_ms: int,
        revisions: Sequence[str] = (),
        paused_tenants: Sequence[str] = (),
        paused_types: Sequence[str] = (),
    ) -> list[Claim]:
        self._workers[worker] = WorkerRecord(
            worker, revisions[0] if revisions else "", 0, draining=False, seen_ms=self.now_ms
        )
        if worker in self._draining:
            return []
        self._tend()
        claims: list[Claim] = []
        while len(claims) < slots:
            tenants = startable(
                [task for task in self._tasks.values() if not self._is_blocked(task.envelope.tenant)],
                [task.envelope for task in self._tasks.values() if task.state is TaskState.RUNNING],
                self.policy, revisions, paused_tenants, paused_types,
            )  # fmt: skip
            if not tenants:
                break
            first = min(tenants, key=lambda tenant: self._virtual.get(tenant, 0.0))
            claims.append(self._start(tenants[first], worker, lease_ms))
        await self._notify()
        return claims

    async def configure(self, policy: PoolPolicy) -> bool:
        if policy.version < self.policy.version:
            return False
        before, self.policy = self.policy.tenants, policy
        for name, rules in policy.tenants.items():
            if name not in before or before[name].limits_digest != rules.limits_digest:
                await self.unblock(name)
        return True

    async def wait(self, timeout_seconds: float) -> None:
        async def until_work() -> None:
            async with self._changed:
                await self._changed.wait_for(
                    lambda: any(self._waiting(task) for task in self._tasks.values())
                )

        try:
            await asyncio.wait_for(until_work(), timeout_seconds)
        except TimeoutError:
            return

    async def journal(self, entries: Sequence[JournalEntry], events: Sequence[Event] = ()) -> list[bool]:
        for event in events:
            check_event(event)
        answers = []
        for entry in entries:
            check_entry(entry)
            task = self._current(entry.task_id, entry.attempt)
            answers.append(task is not None)
            if task is not None and entry.key not in task.journal:
                task.journal[entry.key] = entry.value
                task.cost += entry.cost
                self._totals["spent"] += entry.cost
        for event in events:
            task = self._current(event.task_id, event.attempt)
            if task is not None:
                task.event(event.type, event.data)
        await self._notify()
        return answers

    async def settle(self, settlements: Sequence[Settlement]) -> list[SettleOutcome]:
        for settlement in settlements:
            check_settlement(settlement)
        outcomes = [self._settle(settlement) for settlement in settlements]
        await self._notify()
        return outcomes

    async def extend(self, worker: str, attempts: Mapping[str, int], *, lease_ms: int) -> list[str]:
        lost = []
        for task_id, attempt in attempts.items():
            task = self._current(task_id, attempt)
            if task is None:
                lost.append(task_id)
            else:
                task.lease_ends_ms = self.now_ms + lease_ms
        return lost

    async def cancel(self, task_id: str, reason: str) -> bool:
        task = self._tasks.get(task_id)
        if task is None:
            return False
        if task.state.ended:
            return task.state is TaskState.CANCELLED and task.reason == reason
        if task.state is TaskState.RUNNING:
            self._correct_charge(task)
        self._finish_unsettled(task, TaskState.CANCELLED, reason)
        await self._notify()
        return True

    async def delete(self, task_id: str) -> bool:
        task = self._tasks.get(task_id)
        if task is None or not task.state.ended:
            return False
        task.erase()
        return True

    async def get(self, task_ids: Sequence[str]) -> list[TaskRecord | None]:
        found = map(self._tasks.get, task_ids)
        return [None if task is None else self._record(task) for task in found]

    def _record(self, task: MemoryTask) -> TaskRecord:
        """A blocked tenant's queued task is told as parked."""
        record, tenant = task.record(), task.envelope.tenant
        if task.state is not TaskState.QUEUED or not self._is_blocked(tenant):
            return record
        until, why = int(min(self._blocked[tenant], task.expires_ms)), self._blocked_by[tenant].reason
        return replace(record, state=TaskState.PARKED, not_before_ms=until, reason=why)

    async def steps(self, task_id: str) -> Mapping[str, bytes]:
        task = self._tasks.get(task_id)
        return dict(task.journal) if task else {}

    async def follow(self, task_id: str, after: str = "0") -> AsyncIterator[Event]:
        last = int(after) if after.isdigit() else 0
        while True:
            task = self._tasks.get(task_id)
            if task is None:
                raise NotFound("task", task_id)
            news = [event for event in task.events if int(event.id) > last]
            for event in news:
                last = int(event.id)
                yield event
                if event.type == "ended":
                    return
            if task.state.ended and not news:
                yield Event(task_id, 0, "ended", state_data(task.state), str(last))
                return
            async with self._changed:
                if not any(int(event.id) > last for event in task.events):
                    await self._changed.wait()

    async def counters(self) -> PoolCounters:
        blocked = {tenant: until for tenant, until in self._blocked.items() if until > self.now_ms}
        tasks, by = list(self._tasks.values()), self._blocked_by
        return count(tasks, blocked, by, self._totals, self._unsettled, self.now_ms)

    async def workers(self) -> list[WorkerRecord]:
        held = Counter(task.worker for task in self._tasks.values() if task.state is TaskState.RUNNING)
        return [
            replace(record, held=held[name], draining=name in self._draining)
            for name, record in sorted(self._workers.items())
        ]

    async def drain(self, workers: Sequence[str]) -> None:
        self._draining.update(workers)

    async def forget(self, worker: str) -> None:
        self._workers.pop(worker, None)
        self._draining.discard(worker)

    async def unblock(self, tenant: str) -> None:
        self._blocked.pop(tenant, None)
        for task in self._tasks.values():
            if task.state is TaskState.PARKED and task.deferred and task.envelope.tenant == tenant:
                self._resume(task, self.now_ms)
        await self._notify()

    async def audit(self, *, deep: bool = False) -> bool:
        """Nothing is counted twice here, so the counts are right."""
        self._tend()
        return True

    # What time alone changes.

    def _tend(self) -> None:
        for task in self._tasks.values():
            if task.state is TaskState.RUNNING and task.lease_ends_ms <= self.now_ms:
                self._lose(task)
            if task.state is TaskState.PARKED and task.due_ms <= self.now_ms:
                self._resume(task, task.due_ms)
            if task.state is TaskState.QUEUED and task.expires_ms <= self.now_ms:
                self._expire(task)

    def _lose(self, task: MemoryTask) -> None:
        self._correct_charge(task)
        task.failures, task.lost = task.failures + 1, task.lost + 1
        error = problem_data(WORKER_LOST, f"Attempt {task.attempt} ended with its worker.")
        task.errors.append(error)
        if task.used_up:
            task.error = error
            self._finish_unsettled(task, TaskState.DEAD, TaskReason.WORKER_LOST)
        else:
            task.state, task.since_ms = TaskState.QUEUED, task.lease_ends_ms

    def _resume(self, task: MemoryTask, since_ms: float) -> None:
        task.state, task.since_ms, task.deferred = TaskState.QUEUED, since_ms, False
        if task.expires_ms <= self.now_ms:
            self._expire(task)

    def _expire(self, task: MemoryTask) -> None:
        task.error = problem_data(TABLE[DeadlineExceeded], "The task expired before it ended.")
        self._finish_unsettled(task, TaskState.FAILED, TaskReason.EXPIRED)

    # The claim.

    def _waiting(self, task: MemoryTask) -> bool:
        if task.state is TaskState.PARKED:
            return task.due_ms <= self.now_ms
        if task.state is TaskState.RUNNING:
            return task.lease_ends_ms <= self.now_ms
        return task.state is TaskState.QUEUED and not self._is_blocked(task.envelope.tenant)

    def _is_blocked(self, tenant: str) -> bool:
        return self._blocked.get(tenant, 0) > self.now_ms

    def _rules(self, tenant: str) -> TenantPolicy:
        return self.policy.tenants.get(tenant, TenantPolicy())

    def _start(self, task: MemoryTask, worker: str, lease_ms: int) -> Claim:
        tenant = task.envelope.tenant
        time = max(self._virtual.get(tenant, 0.0), self._virtual_now)
        self._virtual_now = time
        self._virtual[tenant] = time + self._charge(task.envelope.expected_cost) / self._rules(tenant).weight
        self._totals["started"] += 1
        self._totals["wait_ms"] += int(self.now_ms - task.since_ms)
        if task.parked_ms and task.started_ms:
            task.parked_total_ms += self.now_ms - task.parked_ms
        task.parked_ms, task.answer, task.reason = 0, None, ""
        task.state, task.attempt, task.worker = TaskState.RUNNING, task.attempt + 1, worker
        task.claimed_ms, task.started_ms = self.now_ms, task.started_ms or self.now_ms
        task.lease_ends_ms = self.now_ms + lease_ms
        task.event("started" if task.attempt == 1 else "reset", b"{}")
        return task.claim(self.now_ms)

    def _charge(self, cost: int) -> int:
        return max(cost, BASE_CHARGE)

    def _correct_charge(self, task: MemoryTask) -> None:
        tenant, cost = task.envelope.tenant, task.cost - task.charged
        difference = self._charge(cost) - self._charge(task.envelope.expected_cost)
        self._virtual[tenant] += difference / self._rules(tenant).weight
        task.charged = task.cost

    # The settle.

    def _current(self, task_id: str, attempt: int) -> MemoryTask | None:
        task = self._tasks.get(task_id)
        running = task is not None and task.state is TaskState.RUNNING and task.attempt == attempt
        return task if running else None

    def _settle(self, settlement: Settlement) -> SettleOutcome:
        task = self._current(settlement.task_id, settlement.attempt)
        if task is None:
            return self._settled_before(settlement)
        self._totals["ended"] += 1
        self._totals["busy_ms"] += self.now_ms - task.claimed_ms
        self._totals["spent"] += max(0, settlement.cost - task.cost)
        task.cost = max(task.cost, settlement.cost)
        task.reason = settlement.reason
        self._correct_charge(task)
        task.answer = self._outcome(task, settlement)
        return task.answer

    def _settled_before(self, settlement: Settlement) -> SettleOutcome:
        task = self._tasks.get(settlement.task_id)
        if task is None or task.attempt != settlement.attempt or task.answer is None:
            return SettleOutcome.STALE
        same = settlement.kind is not SettleKind.END or task.state is settlement.state
        return task.answer if same else SettleOutcome.STALE

    def _outcome(self, task: MemoryTask, settlement: Settlement) -> SettleOutcome:
        due = settlement.not_before_ms
        if settlement.kind is SettleKind.END:
            task.output, task.error = settlement.output, one_line(settlement.error)
            task.limitations = settlement.limitations
            self._finish(task, settlement.state, settlement.reason)
        elif settlement.kind is SettleKind.RETRY:
            task.failures += 1
            task.errors.append(one_line(settlement.error))
            if task.used_up:
                task.error = one_line(settlement.error)
                self._finish(task, TaskState.DEAD, settlement.reason)
                return SettleOutcome.DEAD
            task.event("retry", json.dumps({"not_before_ms": due}).encode())
            if due > self.now_ms:
                self._park(task, due, deferred=False)
            else:
                task.state, task.since_ms = TaskState.QUEUED, self.now_ms
        elif settlement.kind is SettleKind.PARK:
            other = self._knows_other_limits(settlement, task.envelope.tenant)
            due = self.now_ms + OTHER_LIMITS_MS if other else due
            task.event("parked", json.dumps({"not_before_ms": due}).encode())
            self._park(task, due, deferred=not other)
            if settlement.block_tenant and not other:
                self._blocked[task.envelope.tenant] = due or NEVER
                self._blocked_by[task.envelope.tenant] = settlement
        else:
            task.event("handed_back", b"{}")
            task.state, task.since_ms = TaskState.QUEUED, self.now_ms
        return SettleOutcome.DONE

    def _knows_other_limits(self, settlement: Settlement, tenant: str) -> bool:
        rules = self.policy.tenants.get(tenant)
        return bool(settlement.limits_digest and rules and rules.limits_digest != settlement.limits_digest)

    def _park(self, task: MemoryTask, due_ms: float, *, deferred: bool) -> None:
        task.state, task.parked_ms, task.deferred = TaskState.PARKED, self.now_ms, deferred
        task.due_ms = min(due_ms or NEVER, task.expires_ms)

    def _finish_unsettled(self, task: MemoryTask, state: TaskState, reason: str) -> None:
        self._unsettled[state.value, task.envelope.type] += 1
        self._finish(task, state, reason)

    def _finish(self, task: MemoryTask, state: TaskState, reason: str) -> None:
        task.state, task.reason, task.ended_ms = state, reason, self.now_ms
        task.event("ended", state_data(state))

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
