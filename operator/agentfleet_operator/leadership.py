"""One leader at a time, by a Lease: a small loop of our own, since the client library's own election cannot
create a Lease, dies of a refused connection and does not watch its work.

Every call is bounded by the time that is left. Whoever loses the Lease raises `LeadershipLost`, and its
process ends: nothing here tries to lead again.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from agentfleet_core.errors import AgentfleetError, Conflict, LeadershipLost
from agentfleet_operator.election import (
    Decision,
    LeaseRecord,
    Move,
    Sighting,
    Timings,
    decide,
    remaining_seconds,
    sight,
)

log = logging.getLogger(__name__)


class Leases(Protocol):
    """The one Lease, as kept by the API server. Raises `Conflict` where another wrote first, else
    `Unavailable`.
    """

    async def read(self) -> LeaseRecord | None: ...

    async def create(self, record: LeaseRecord) -> LeaseRecord: ...

    async def replace(self, record: LeaseRecord) -> LeaseRecord: ...

    def stamp(self) -> str:
        """Now, in the form of a Lease's renewTime."""
        ...


class Leadership:
    """`await acquire()`, then `hold()` beside the leader's work until it raises; `release()` on a graceful
    stop.
    """

    def __init__(
        self,
        leases: Leases,
        identity: str,
        timings: Timings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity = identity
        self._leases = leases
        self._timings = timings
        self._monotonic = monotonic
        self._sighting: Sighting | None = None
        self._held: LeaseRecord | None = None
        self._renewed_seconds = 0.0
        self._least_term = 0

    @property
    def leading(self) -> bool:
        return self._held is not None

    @property
    def term(self) -> int:
        """Grows with each new leader; 0 while this process does not lead."""
        return self._held.transitions if self._held is not None else 0

    async def acquire(self) -> int:
        """Wait until this process leads; its term."""
        while self._held is None:
            wait_seconds = self._timings.retry_seconds
            try:
                async with asyncio.timeout(self._timings.renew_deadline_seconds):
                    wait_seconds = await self._attempt()
            except Conflict:
                log.debug("another process wrote the Lease first")
            except (AgentfleetError, TimeoutError) as error:
                log.warning("the Lease cannot be read or written: %s", error or "time-out")
            if self._held is None:
                await asyncio.sleep(wait_seconds)
        log.info("%s leads with term %d", self.identity, self.term)
        return self.term

    async def hold(self) -> None:
        """Renew for ever. Raises `LeadershipLost` when the renew deadline passes or another process holds the
        Lease.
        """
        while True:
            await asyncio.sleep(self._timings.retry_seconds)
            await self._renew_in_time()

    async def raise_term(self, least: int) -> None:
        """Hold the Lease with a term of at least `least`: it had been deleted, and its count began anew."""
        self._least_term = max(self._least_term, least)
        await self._renew_in_time()

    async def release(self) -> None:
        """Let another process lead at once; a failure only means that it waits for the Lease to end."""
        if self._held is None:
            return
        free = LeaseRecord("", self._held.transitions, 1.0, self._leases.stamp(), self._held.resource_version)
        self._held = None
        try:
            async with asyncio.timeout(self._timings.retry_seconds):
                await self._leases.replace(free)
        except (AgentfleetError, TimeoutError) as error:
            log.warning("the Lease was not released: %s", error or "time-out")

    async def _attempt(self) -> float:
        """One look and, where it may, one write; how long to wait for the next look."""
        asked_seconds = self._monotonic()
        self._sighting = sight(self._sighting, await self._leases.read(), self._monotonic())
        decision = decide(self._sighting, self.identity, self._timings, self._monotonic())
        if decision.move is not Move.WAIT:
            self._held = await self._write(decision)
            self._renewed_seconds = asked_seconds
        return decision.wait_seconds

    async def _renew_in_time(self) -> None:
        while True:
            left = remaining_seconds(self._renewed_seconds, self._timings, self._monotonic())
            if left <= 0:
                self._held = None
                raise LeadershipLost("the Lease was not renewed before its deadline")
            try:
                async with asyncio.timeout(left):
                    await self._renew()
                    return
            except (AgentfleetError, TimeoutError) as error:
                if isinstance(error, LeadershipLost):
                    raise
                log.warning("the Lease was not renewed, %.1f s are left: %s", left, error or "time-out")
            await asyncio.sleep(min(self._timings.retry_seconds, max(0.0, left)))

    async def _renew(self) -> None:
        if self._held is None:
            raise LeadershipLost("the Lease is not held")
        asked_seconds = self._monotonic()
        try:
            self._held = await self._write(Decision(Move.RENEW, self._held.transitions))
        except Conflict:
            record = await self._leases.read()
            if record is None or record.holder != self.identity:
                self._held = None
                raise LeadershipLost(
                    f"the Lease is held by {record.holder if record else 'nobody'}"
                ) from None
            self._held = record
            self._held = await self._write(Decision(Move.RENEW, record.transitions))
        self._renewed_seconds = asked_seconds

    async def _write(self, decision: Decision) -> LeaseRecord:
        known = self._held or (self._sighting.record if self._sighting is not None else None)
        record = LeaseRecord(
            holder=self.identity,
            transitions=max(decision.transitions, self._least_term),
            lease_seconds=self._timings.lease_seconds,
            renewed=self._leases.stamp(),
            resource_version=known.resource_version if known is not None else "",
        )
        if decision.move is Move.CREATE:
            return await self._leases.create(record)
        return await self._leases.replace(record)
