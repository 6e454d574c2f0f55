"""Keeps what a worker holds, from a thread of its own: a handler that blocks the event loop cannot stop it.

It renews the leases of tasks and of holds in one round trip over its own connection, brings back what was
lost or cancelled, and watches the loop. A handler that holds the loop past its step's time-out makes this
process worthless to the tasks beside it: then they are handed back, the blocker takes the failure, and the
process ends for its supervisor to start another. Code that keeps even this thread from running (the
interpreter's lock) is ended by faulthandler's own thread.
"""

import asyncio
import faulthandler
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.keyspace.scripts import Call
from agentfleet_core.queue.envelope import Settlement
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_worker.attempt.attempt import Attempt
from agentfleet_worker.attempt.outcomes import Ending, hand_back, retry, settlement
from agentfleet_worker.calls.holds import OpenHolds
from agentfleet_worker.running.context import payer_of

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
JOIN_SECONDS = 0.5
"""The thread may sit in a call to a Redis that does not answer; it ends with the process."""
REPLACED_EXIT_CODE = 75
"""EX_TEMPFAIL: start another."""


class LeaseKeeper:
    """`start` it on the loop that it watches; that loop alone changes `held` and `holds`."""

    def __init__(
        self,
        url: str,
        queue: PoolQueue,
        ledger: RedisLedger,
        held: Mapping[str, Attempt],
        holds: OpenHolds,
        *,
        worker: str,
        lease_ms: int,
        lost: Callable[[Sequence[str]], object],
        end_process: Callable[[int], object] = os._exit,
    ) -> None:
        self._calls = queue.calls
        self._pool = queue.pool
        self._ledger = ledger
        self._held = held
        self._holds = holds
        self._worker = worker
        self._lease_ms = lease_ms
        self._lost = lost
        self._end_process = end_process
        seconds = lease_ms / 3_000
        self._redis: redis.Redis = redis.Redis.from_url(
            url,
            protocol=2,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 1),
        )
        self._stop = threading.Event()
        self._beat_asked = self._beat_at = time.monotonic()
        self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)
        self._main_thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        self._arm()  # before the thread's first tick: the first task may be the one that lets no thread run
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(JOIN_SECONDS)
        faulthandler.cancel_dump_traceback_later()
        self._redis.close()

    def _keep(self) -> None:
        period = self._lease_ms / 3_000
        renew_at = time.monotonic() + period
        while not self._stop.wait(TICK_SECONDS):
            self._arm()
            now = time.monotonic()
            self._watch_loop(now)
            if now >= renew_at:
                renew_at = now + period
                self._renew()

    def _arm(self) -> None:
        """Anew each tick, so it fires only when no Python thread gets to run for a whole lease."""
        faulthandler.dump_traceback_later(self._lease_ms / 1000 + 1, exit=True)

    def _renew(self) -> None:
        attempts = {attempt.id: attempt.claim.attempt for attempt in list(self._held.values())}
        calls = [self._calls.extend(self._worker, attempts, lease_ms=self._lease_ms)]
        calls += self._ledger.extend_calls(self._holds.all(), lease_ms=self._lease_ms)
        try:
            replies = _run_all(self._redis, calls)
        except (redis.RedisError, OSError) as error:
            log.warning("leases were not renewed; trying again", extra={"error": str(error)})
            return
        lost = [f"{self._pool}.{ulid.decode()}" for ulid in replies[0]]
        if lost:
            self._post(self._lost, lost)

    def _watch_loop(self, now: float) -> None:
        if self._beat_at >= self._beat_asked:
            self._beat_asked = now
            self._post(self._beat)
            return
        blocked_seconds = now - self._beat_asked
        blocker = self._blocker()
        if blocker is None or blocked_seconds < blocker.spec.timeouts.step_seconds:
            return
        self._replace_process(blocker, blocked_seconds)

    def _beat(self) -> None:
        self._beat_at = time.monotonic()

    def _post(self, function: Callable[..., object], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            self._stop.set()  # the loop is closed: the worker ends

    def _blocker(self) -> Attempt | None:
        task = asyncio.current_task(self._loop)
        if task is None:
            return None
        for attempt in list(self._held.values()):
            if attempt.task is task:
                return attempt
        payer = payer_of(task)
        return payer.running if payer is not None else None

    def _replace_process(self, blocker: Attempt, blocked_seconds: float) -> None:
        place = _place(self._main_thread)
        log.error(
            "a handler blocks the event loop: this worker is replaced",
            extra={"task": blocker.id, "at": place},
        )
        endings = [(blocker, _blocked(blocker, blocked_seconds, place))]
        endings += [
            (attempt, hand_back(AttemptReason.WORKER_REPLACED))
            for attempt in list(self._held.values())
            if attempt is not blocker
        ]
        try:
            _run_all(self._redis, [self._calls.settle([_addressed(*each) for each in endings]),
                                   self._calls.call("forget", self._worker)])  # fmt: skip
        except (redis.RedisError, OSError) as error:
            log.warning("tasks were not handed back; their leases will end", extra={"error": str(error)})
        self._end_process(REPLACED_EXIT_CODE)
        self._stop.set()


def _addressed(attempt: Attempt, ending: Ending) -> Settlement:
    return settlement(attempt.claim, ending)


def _blocked(attempt: Attempt, seconds: float, place: str) -> Ending:
    detail = (
        f"the handler held the event loop for {seconds:.0f} s at {place}, past stepSeconds "
        f"({attempt.spec.timeouts.step_seconds} s); await instead, or run what blocks in a plain function"
    )
    not_before_ms = attempt.now_ms() + attempt.spec.retry.backoff_seconds * 1000
    return retry(AttemptReason.LOOP_BLOCKED, detail, not_before_ms=not_before_ms)


def _place(thread: int) -> str:
    """The line that the blocked thread stands at."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001 -- the one way to see another thread's frame
    if frame is None:
        return "an unknown place"
    line = traceback.extract_stack(frame)[-1]
    return f"{line.name} ({os.path.basename(line.filename)}:{line.lineno})"  # noqa: PTH119 -- a name, not a path


def _run_all(client: "redis.Redis", calls: Sequence[Call]) -> list[Any]:
    """As `keyspace.scripts.run_all`, for a thread without a loop."""
    replies = []
    for call in calls:
        script = call.script
        try:
            reply = client.evalsha(script.sha, len(call.keys), *call.keys, *call.args)
        except redis.exceptions.NoScriptError:
            reply = client.eval(script.source, len(call.keys), *call.keys, *call.args)
        replies.append(reply)
    return replies
