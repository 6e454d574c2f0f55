"""Runs one attempt from claim to settlement. Whatever happens in it becomes a settlement; nothing escapes."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace

from agentfleet_core.errors import Unavailable
from agentfleet_core.ports import Queue
from agentfleet_core.queue.envelope import Claim, SettleKind, TaskState
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.queue.step import decode_steps
from agentfleet_core.resilience.backoff import backoff_seconds
from agentfleet_worker.attempt.attempt import Attempt
from agentfleet_worker.attempt.background import Background
from agentfleet_worker.attempt.guard import made_harmless
from agentfleet_worker.attempt.outcomes import (
    AttemptLost,
    AttemptStopped,
    Ending,
    of_exception,
    park,
    settlement,
)
from agentfleet_worker.attempt.ports import Follower
from agentfleet_worker.attempt.raised import counting
from agentfleet_worker.attempt.replay import partial
from agentfleet_worker.attempt.tally import Tally
from agentfleet_worker.attempt.words import traceback_of
from agentfleet_worker.calls.anthropic.errors import of_provider_error
from agentfleet_worker.calls.call import PAYER
from agentfleet_worker.running.context import WorkerContext
from agentfleet_worker.running.execute import execute
from agentfleet_worker.running.services import Services

log = logging.getLogger(__name__)

UNKNOWN_TYPE_PARK_MS = 30_000
IGNORED_SECONDS = 5.0
TIMED_OUT = Ending(SettleKind.END, AttemptReason.TASK_TIMEOUT)
"""Stands for what `_time_out` makes of the journal."""


class Runner:
    def __init__(
        self, services: Services, tally: Tally, ended: Callable[[Attempt], None], *, queue: Queue,
        follower: Follower, background: Background,
    ) -> None:  # fmt: skip
        self._services = services
        self._queue = queue
        self._follower = follower
        self._background = background
        self._tally = tally
        self._ended = ended

    def start(self, claim: Claim, claimed_at: float) -> Attempt | None:
        """None: the claim could not be run and is settled already."""
        spec = self._follower.config.task_types.get(claim.envelope.type)
        if spec is None:
            self.refuse(claim, _type_unknown(claim))
            return None
        attempt = Attempt(claim, spec, claimed_at)
        services = self._services
        attempt.on_stop = self._watch_stopped
        attempt.task_deadline = services.deadlines.add(attempt.deadline, lambda: attempt.stop(TIMED_OUT))
        # Past the loop's task factory, which notes whose work a task is: here the attempt itself knows.
        attempt.task = asyncio.Task(self._run(attempt), loop=services.deadlines.loop)
        return attempt

    async def _run(self, attempt: Attempt) -> None:
        services = self._services
        context = WorkerContext(attempt, services)
        PAYER.set(context)
        try:
            ending = await self._outcome(attempt, context)
            attempt.close()
            if attempt.settled:
                return  # its handler came to an end at last, long after it was given up
            if ending is not None and ending.kind is not SettleKind.END:
                await attempt.wait_for_calls(attempt.spec.timeouts.llm_call_seconds)
            if ending is TIMED_OUT:
                ending = await self._time_out(attempt)
            if ending is not None:
                self.settle(attempt, ending)
        finally:
            if attempt.task_deadline is not None:
                services.deadlines.remove(attempt.task_deadline)
            self._ended(attempt)

    def _watch_stopped(self, attempt: Attempt) -> None:
        """A handler that ignores its cancellation loses its slot, and what it still does no longer counts."""
        deadlines = self._services.deadlines
        if attempt.task_deadline is not None:
            deadlines.remove(attempt.task_deadline)
        attempt.task_deadline = deadlines.add(
            deadlines.loop.time() + IGNORED_SECONDS,
            lambda: self._background.start(self._abandon(attempt)),
        )

    async def _abandon(self, attempt: Attempt) -> None:
        log.warning("a handler ignores that it was stopped", extra={"task": attempt.id})
        ending = self._cancelled(attempt)
        if ending is TIMED_OUT:
            ending = await self._time_out(attempt)
        if ending is not None:
            self.settle(attempt, ending)
        self._ended(attempt)

    async def _outcome(self, attempt: Attempt, context: WorkerContext) -> Ending | None:
        """None: there is nothing to settle."""
        try:
            ending = await execute(context, self._services)
            # A handler may have swallowed what stopped it; what it returned then does not count.
            attempt.check()
            return ending
        except AttemptStopped as stopped:
            return stopped.ending
        except AttemptLost:
            return None
        except asyncio.CancelledError:
            return self._cancelled(attempt)
        except GeneratorExit:
            raise  # the loop is gone, and its coroutines are being closed
        except BaseException as error:  # noqa: BLE001 -- the edge of users' code, which may raise anything
            if attempt.stopped is not None:
                return self._cancelled(attempt)
            return _raised(counting(error), attempt)

    def _cancelled(self, attempt: Attempt) -> Ending | None:
        """The attempt was stopped from outside, or its handler cancelled itself."""
        if isinstance(attempt.stopped, AttemptStopped):
            return attempt.stopped.ending
        if attempt.stopped is not None:
            return None
        return of_exception(asyncio.InvalidStateError("the handler cancelled itself"))

    async def _time_out(self, attempt: Attempt) -> Ending:
        """Partial, if there is anything in the journal; it is read again: what is there counts."""
        limit = ("taskSeconds", attempt.spec.timeouts.task_seconds)
        if attempt.expires:
            limit = ("expiresAfterSeconds", attempt.claim.envelope.expires_after_seconds)
        try:
            steps = await self._queue.steps(attempt.id)
        except Unavailable:
            steps = {}
        return partial(decode_steps(steps), *limit)

    def settle(self, attempt: Attempt, ending: Ending) -> None:
        """Queued when it returns; the slot is free. The first settlement of an attempt is the one."""
        if attempt.settled:
            return
        attempt.settled = True
        made = settlement(attempt.claim, ending)
        if attempt.limitations and ending.state in (TaskState.SUCCEEDED, TaskState.PARTIAL):
            made = replace(made, limitations=(*made.limitations, *attempt.limitations.values()))
        if ending.kind is SettleKind.RETRY and not ending.not_before_ms:
            retry = attempt.spec.retry
            seconds = backoff_seconds(
                attempt.claim.failures + 1,
                random=random.random(),
                base_seconds=retry.backoff_seconds,
                cap_seconds=retry.max_backoff_seconds,
            )
            made = replace(made, not_before_ms=attempt.now_ms() + int(seconds * 1000))
        ends = ending.kind is SettleKind.END
        count = self._tally.ends(attempt.claim.envelope.type, ending.state) if ends else None
        future = self._services.commit.settle(made, count)
        self._tally.settling(attempt, ending, time.monotonic() - attempt.claimed_at, future)

    def refuse(self, claim: Claim, ending: Ending) -> None:
        """Settle a claim that is not run."""
        self._services.commit.settle(settlement(claim, ending))


def _raised(error: BaseException, attempt: Attempt) -> Ending | None:
    if isinstance(error, AttemptStopped):
        return error.ending
    if isinstance(error, AttemptLost):
        return None
    ending = of_provider_error(error, attempt.now_ms())
    if ending is None:
        told = {"task": attempt.id, "attempt": attempt.claim.attempt}
        log.warning("a handler failed\n%s", traceback_of(error), extra=told)
        ending = of_exception(made_harmless(error))
    return ending


def _type_unknown(claim: Claim) -> Ending:
    detail = f"this fleet has no TaskType {claim.envelope.type} now"
    return park(AttemptReason.TYPE_UNKNOWN, detail, not_before_ms=claim.now_ms + UNKNOWN_TYPE_PARK_MS)
