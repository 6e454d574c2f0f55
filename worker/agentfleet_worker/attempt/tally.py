"""Counts what attempts come to, with metrics' children kept: looking them up costs more than a short task."""

import asyncio
from collections.abc import Callable
from typing import Any

from agentfleet_core.queue.envelope import Claim, SettleKind, SettleOutcome
from agentfleet_core.telemetry import metrics
from agentfleet_worker.attempt.attempt import Attempt
from agentfleet_worker.attempt.outcomes import Ending


class Tally:
    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._start_seconds = metrics.TASK_START_SECONDS.labels(pool)
        self._running = metrics.TASKS_RUNNING.labels(pool)
        self._slots = metrics.WORKER_SLOTS.labels(pool)
        self._seconds: dict[str, Any] = {}
        self._ended: dict[tuple[str, str], Callable[[], object]] = {}

    def watch(self, slots: Callable[[], int], running: Callable[[], int]) -> None:
        """Asked at each scrape, not told at each task."""
        self._slots.set_function(slots)
        self._running.set_function(running)

    def claimed(self, claim: Claim) -> None:
        if claim.attempt == 1:
            due_ms = max(claim.admitted_ms, claim.envelope.not_before_ms)
            self._start_seconds.observe(max(0, claim.now_ms - due_ms) / 1000)

    def ends(self, task_type: str, state: str) -> Callable[[], object]:
        """What counts an end, for when it is known to have counted."""
        count = self._ended.get((task_type, state))
        if count is None:
            count = self._ended[task_type, state] = metrics.TASKS_ENDED.labels(
                self._pool, task_type, state
            ).inc
        return count

    def settling(
        self, attempt: Attempt, ending: Ending, seconds: float, outcome: "asyncio.Future[SettleOutcome]"
    ) -> None:
        task_type = attempt.claim.envelope.type
        observed = self._seconds.get(task_type)
        if observed is None:
            observed = self._seconds[task_type] = metrics.TASK_SECONDS.labels(self._pool, task_type)
        observed.observe(seconds)
        if ending.kind is not SettleKind.END:
            outcome.add_done_callback(lambda settled: self._count_postponed(task_type, ending, settled))

    def _count_postponed(
        self, task_type: str, ending: Ending, settled: "asyncio.Future[SettleOutcome]"
    ) -> None:
        if settled.cancelled() or settled.exception() is not None:
            return
        match settled.result():
            case SettleOutcome.DEAD:
                self.ends(task_type, "dead")()
            case SettleOutcome.DONE:
                metrics.TASKS_POSTPONED.labels(self._pool, ending.kind, ending.reason or "").inc()
