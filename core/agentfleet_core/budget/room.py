"""Waiting for room that open holds alone have taken: for the next settle, not for the next window.

Those who wait for one limit of a tenant in one process stand in a line, and only its head asks again when
room is made: a ring costs one reserve per process, not one per waiting task, and small calls do not overtake
a large one for ever. The head also asks each `RECHECK_SECONDS`: a dead worker's hold ends without a ring.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from agentfleet_core.budget.limits import LimitWindow, Refused, Reserved, Waiting
from agentfleet_core.keyspace.channels import Channels
from agentfleet_core.keyspace.keys import TenantKeys
from agentfleet_core.ports import Ledger
from agentfleet_core.settings import FleetId

RECHECK_SECONDS: Final = 1.0
_STALE_SECONDS: Final = 0.01

Windows = Callable[[], Sequence[LimitWindow]]
Check = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What to hold, as for `Ledger.reserve`; `until` bounds the wait, by `time.monotonic`."""

    tenant: str
    hold_id: str
    amount: int
    lease_ms: int
    until: float

    @property
    def seconds_left(self) -> float:
        return self.until - time.monotonic()


@dataclass(slots=True)
class _Line:
    length: int = 0
    head: asyncio.Lock = field(default_factory=asyncio.Lock)


async def _nothing() -> None:
    """The check of a caller who has none."""


class Room:
    """One per process, beside its ledger."""

    def __init__(self, ledger: Ledger, channels: Channels, fleet_id: FleetId) -> None:
        self._ledger = ledger
        self._channels = channels
        self._fleet = fleet_id
        self._lines: dict[tuple[str, str], _Line] = {}

    async def reserve(self, wish: Wish, windows: Windows, *, check: Check = _nothing) -> Reserved | Refused:
        """Reserve, waiting while only open holds stand in the way.

        `windows` computes the limits anew for each try; `check` runs before each further try and may raise.
        Returns a refusal at once when a limit is exhausted, and the last one when time is over. Raises
        `Unavailable`.
        """
        limit = self._longest_known_line(wish, windows)
        if limit is None:
            outcome = await self._try(wish, windows)
            limit = _blocked_by(outcome)
            if limit is None:
                return outcome
        room_made = TenantKeys(self._fleet, wish.tenant).room
        async with self._channels.listen(room_made) as bell, self._in_line(wish, limit):
            while True:
                await check()
                rings = bell.rings
                outcome = await self._try(wish, windows)
                left = wish.seconds_left
                if _blocked_by(outcome) is None or left <= 0:
                    if isinstance(outcome, Refused):
                        await self._note(wish, limit, 0.0)
                    return outcome
                await bell.after(rings, min(left, RECHECK_SECONDS))

    async def _try(self, wish: Wish, windows: Windows) -> Reserved | Refused:
        """Once, or again while the windows are those of a moment ago, or of the next."""
        while True:
            outcome = await self._ledger.reserve(
                wish.tenant, wish.hold_id, wish.amount, windows(), lease_ms=wish.lease_ms
            )
            if isinstance(outcome, Reserved) or not outcome.stale or wish.seconds_left <= 0:
                return outcome
            await asyncio.sleep(_STALE_SECONDS)

    def _longest_known_line(self, wish: Wish, windows: Windows) -> str | None:
        """A limit that others here wait for, which this wish counts against too."""
        lines = [(line.length, limit.name) for limit in windows() if (line := self._at(wish, limit.name))]
        return max(lines)[1] if lines else None

    def _at(self, wish: Wish, limit: str) -> _Line | None:
        return self._lines.get((wish.tenant, limit))

    @contextlib.asynccontextmanager
    async def _in_line(self, wish: Wish, limit: str) -> AsyncIterator[None]:
        """At the line's head, or wherever time was over."""
        line = self._lines.setdefault((wish.tenant, limit), _Line())
        line.length += 1
        at_head = False
        try:
            await self._note(wish, limit, wish.seconds_left)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wish.seconds_left)):
                    await line.head.acquire()
                    at_head = True
            yield
        finally:
            if at_head:
                line.head.release()
            line.length -= 1
            if line.length == 0:
                del self._lines[wish.tenant, limit]

    async def _note(self, wish: Wish, limit: str, seconds: float) -> None:
        """For whoever asks why; a wish that has its hold is known to wait no longer."""
        waiting = Waiting(wish.hold_id, limit, wish.amount)
        await self._ledger.note_wait(wish.tenant, waiting, wait_ms=max(0, round(seconds * 1_000)))


def _blocked_by(outcome: Reserved | Refused) -> str | None:
    return outcome.limit if isinstance(outcome, Refused) and outcome.by_holds else None
