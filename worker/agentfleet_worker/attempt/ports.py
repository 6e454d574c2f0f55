"""What an attempt needs of the rest of its worker, and no more: tests stand in for these."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.fleet.pauses import Pauses
from agentfleet_core.fleet.throttles import Throttles
from agentfleet_core.queue.envelope import Event, JournalEntry, Settlement, SettleOutcome


class Commit(Protocol):
    """Many writers, few round trips: what is written at about the same time goes to Redis together."""

    async def journal(self, entry: JournalEntry, events: Sequence[Event] = ()) -> bool:
        """False: the attempt is stale."""
        ...

    def emit(self, event: Event) -> None: ...

    def settle(
        self, settlement: Settlement, count: Callable[[], object] | None = None
    ) -> "asyncio.Future[SettleOutcome]": ...


class Follower(Protocol):
    """The part of `fleet.store.ConfigFollower` that a worker reads."""

    @property
    def config(self) -> FleetConfig: ...

    @property
    def pauses(self) -> Pauses: ...

    @property
    def throttles(self) -> Throttles: ...

    def paused(
        self, *, pool: str | None = None, tenant: str | None = None, task_type: str | None = None
    ) -> str | None: ...
