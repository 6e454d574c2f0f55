"""One attempt at one task: what it holds while it runs, its clocks, and how it is stopped from outside.

Only the event loop changes it; the lease thread reads its claim and its type's time-outs.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from agentfleet_core.api.v1alpha1.task_type import TaskTypeSpec
from agentfleet_core.queue.envelope import Claim
from agentfleet_core.queue.limits import MAX_JOURNAL_BYTES, MAX_JOURNAL_ENTRIES
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.resilience.deadlines import life_seconds_left, task_seconds_left
from agentfleet_worker.attempt.limits import sized
from agentfleet_worker.attempt.outcomes import AttemptLost, AttemptStopped, Ending, fail

if TYPE_CHECKING:
    from agentfleet_worker.attempt.deadlines import Deadline


class Attempt:
    __slots__ = (
        "_calls",
        "_no_calls",
        "_offset_ms",
        "claim",
        "claimed_at",
        "deadline",
        "expires",
        "journal_bytes",
        "journal_entries",
        "limitations",
        "on_stop",
        "settled",
        "spec",
        "stopped",
        "task",
        "task_deadline",
    )

    def __init__(self, claim: Claim, spec: TaskTypeSpec, claimed_at: float) -> None:
        self.claim = claim
        self.spec = spec
        self.claimed_at = claimed_at
        """Monotonic seconds at which the claim was asked for: never later than the claim."""
        self._offset_ms = claim.now_ms - claimed_at * 1000
        task_seconds = task_seconds_left(claim, spec.timeouts.task_seconds, now_ms=claim.now_ms)
        life_seconds = life_seconds_left(claim, now_ms=claim.now_ms)
        self.deadline = claimed_at + min(task_seconds, life_seconds)
        """Monotonic; the task's, not this attempt's."""
        self.expires = life_seconds < task_seconds
        """The deadline is the end of the task's life: `expiresAfterSeconds`, not `taskSeconds`."""
        self.stopped: BaseException | None = None
        self.settled = False
        self._calls = 0
        self._no_calls: asyncio.Event | None = None
        self.limitations: dict[str, str] = {}
        """Step to what the task's result says of it."""
        self.journal_entries = len(claim.journal)
        self.journal_bytes = sum(map(len, claim.journal.values()))
        self.on_stop: Callable[[Attempt], object] | None = None
        """Called once, when it is first stopped from outside."""
        self.task: asyncio.Task[None] | None = None
        self.task_deadline: Deadline | None = None

    @property
    def id(self) -> str:
        return self.claim.envelope.id

    def now_ms(self) -> int:
        """Redis's time, as far as it is known without asking: from the claim on by our monotonic clock."""
        return int(time.monotonic() * 1000 + self._offset_ms)

    def at_ms(self, monotonic: float) -> int:
        return int(monotonic * 1000 + self._offset_ms)

    def journaled(self, value: bytes) -> None:
        self.journal_entries += 1
        self.journal_bytes += len(value)

    def check_journal(self) -> None:
        """Before a step begins, so that nothing is done, or paid for, that could not be kept. Raises
        `AttemptStopped`.
        """
        if self.journal_entries < MAX_JOURNAL_ENTRIES and self.journal_bytes < MAX_JOURNAL_BYTES:
            return
        detail = (
            f"the task has journaled {self.journal_entries:,} steps with {sized(self.journal_bytes)}; at "
            f"most {MAX_JOURNAL_ENTRIES:,} and {sized(MAX_JOURNAL_BYTES)} are kept: split it into several "
            "tasks, or store large results elsewhere and return where"
        )
        raise AttemptStopped(fail(AttemptReason.JOURNAL_FULL, detail))

    def call_begins(self) -> None:
        """A paid call is under way; it ends when it is settled and journaled."""
        self._calls += 1

    def call_ends(self) -> None:
        self._calls -= 1
        if self._calls == 0 and self._no_calls is not None:
            self._no_calls.set()

    async def wait_for_calls(self, timeout_seconds: float) -> None:
        """Those that an ended handler left under way: what they bring is journaled, not paid for again."""
        if self._calls == 0:
            return
        self._no_calls = asyncio.Event()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(timeout_seconds):
                await self._no_calls.wait()

    def close(self) -> None:
        """Its handler has ended: whatever still runs for it starts no further step."""
        if self.stopped is None:
            self.stopped = AttemptLost()

    def stop(self, ending: Ending) -> None:
        """End it so; the first word counts."""
        self._interrupt(AttemptStopped(ending))

    def lose(self) -> None:
        """Nothing of it counts any more."""
        self._interrupt(AttemptLost())

    def _interrupt(self, why: BaseException) -> None:
        if self.stopped is None:
            self.stopped = why
            if self.on_stop is not None:
                self.on_stop(self)
        if self.task is not None:
            self.task.cancel()

    def check(self) -> None:
        """Raises what stopped the attempt, for a handler that went on regardless."""
        if self.stopped is not None:
            raise self.stopped
