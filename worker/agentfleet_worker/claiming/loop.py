"""Fills a worker's slots: claims in batches, waits at the doorbell when there is nothing, starts what it got.

The hot path. Nothing here is done per task that can be done per batch: no logging, no timers, no closures.
"""

import asyncio
import logging
import time
from typing import Protocol

from agentfleet_core.errors import Unavailable
from agentfleet_core.ports import Queue
from agentfleet_core.queue.envelope import Claim
from agentfleet_core.queue.limits import ANY_REVISION
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_worker.attempt.attempt import Attempt
from agentfleet_worker.attempt.outcomes import Ending, hand_back
from agentfleet_worker.attempt.ports import Follower
from agentfleet_worker.attempt.tally import Tally
from agentfleet_worker.running.runner import Runner

log = logging.getLogger(__name__)

IDLE_WAIT_SECONDS = 1.0
PAUSED_WAIT_SECONDS = 0.1
UNAVAILABLE_WAIT_SECONDS = 0.25


class Claims(Protocol):
    async def claim(
        self, worker: str, slots: int, *, lease_ms: int, revisions: tuple[str, ...] = (),
        paused_tenants: tuple[str, ...] = (), paused_types: tuple[str, ...] = (),
    ) -> list[Claim]: ...  # fmt: skip


class ClaimLoop:
    """`run` until `stop`; `held` is what runs now."""

    def __init__(
        self, claims: Claims, queue: Queue, follower: Follower, tally: Tally, *, pool: str, worker: str,
        revision: str, lease_ms: int,
    ) -> None:  # fmt: skip
        self.held: dict[str, Attempt] = {}
        self._claims = claims
        self._queue = queue
        self._follower = follower
        self._tally = tally
        self._pool = pool
        self._worker = worker
        self._revision = revision
        self._lease_ms = lease_ms
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def slots(self) -> int:
        pool = self._follower.config.pools.get(self._pool)
        return pool.spec.concurrency if pool is not None else 0

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    @property
    def _revisions(self) -> tuple[str, ...]:
        """A worker of the current revision also takes what was admitted before it, which nobody else may
        be left to take; an older one leaves alone what was admitted for a newer image.
        """
        pool = self._follower.config.pools.get(self._pool)
        if pool is not None and pool.revision == self._revision:
            return (self._revision, ANY_REVISION)
        return (self._revision,) if self._revision else ()

    async def run(self, runner: Runner) -> None:
        while not self._stopping.is_set():
            free = self.slots - len(self.held)
            if free <= 0:
                if self.held:
                    self._wake.clear()
                    await self._wake.wait()
                else:
                    await self._pause(PAUSED_WAIT_SECONDS)  # the pool is not in the config, or not yet
            elif self._follower.paused(pool=self._pool) is not None:
                await self._pause(PAUSED_WAIT_SECONDS)
            else:
                await self._fill(runner, min(free, (self.slots + 1) // 2))

    async def _fill(self, runner: Runner, free: int) -> None:
        asked_at, pauses = time.monotonic(), self._follower.pauses
        try:
            claims = await self._claims.claim(
                self._worker, free, lease_ms=self._lease_ms, revisions=self._revisions,
                paused_tenants=pauses.tenants, paused_types=pauses.task_types,
            )  # fmt: skip
            if not claims:
                await self._idle()
                return
        except Unavailable as error:
            log.warning("no claim: %s", error)
            await self._pause(UNAVAILABLE_WAIT_SECONDS)
            return
        for claim in claims:
            if self._stopping.is_set():
                runner.refuse(claim, hand_back(AttemptReason.DRAINING))
                continue
            self._tally.claimed(claim)
            attempt = runner.start(claim, asked_at)
            if attempt is not None:
                self.held[claim.envelope.id] = attempt
        self._empty.clear()

    def ended(self, attempt: Attempt) -> None:
        if self.held.get(attempt.id) is attempt:
            del self.held[attempt.id]
        self._wake.set()
        if not self.held:
            self._empty.set()

    def stop(self) -> None:
        """Claim nothing more; what runs goes on."""
        self._stopping.set()
        self._wake.set()

    async def wait_empty(self, timeout_seconds: float) -> bool:
        try:
            async with asyncio.timeout(timeout_seconds):
                while self.held:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def stop_all(self, ending: Ending) -> None:
        for attempt in list(self.held.values()):
            attempt.stop(ending)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _idle(self) -> None:
        """At the doorbell, until there may be work, some time has passed, or the worker stops."""
        bell = asyncio.ensure_future(self._queue.wait(IDLE_WAIT_SECONDS))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((bell, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            bell.cancel()
            if not bell.done():
                await asyncio.wait((bell,))  # its connection is given back, or closed, before the client is
        if bell.done() and not bell.cancelled():
            bell.result()
