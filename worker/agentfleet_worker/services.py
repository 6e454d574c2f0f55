"""What the attempts of one worker share."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.ports import Ledger, Queue
from agentfleet_core.queue.envelope import Event, JournalEntry, Settlement, SettleOutcome
from agentfleet_core.settings import WorkerSettings
from agentfleet_worker.background import Background
from agentfleet_worker.code import Code
from agentfleet_worker.deadlines import Deadlines
from agentfleet_worker.events import Progress
from agentfleet_worker.holds import OpenHolds

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

    from agentfleet_worker.providers.routes import Routes


class Commit(Protocol):
    """Many writers, few round trips: what is written at about the same time goes to Redis together."""

    async def journal(self, entry: JournalEntry, events: Sequence[Event] = ()) -> bool:
        """False: the attempt is stale."""
        ...

    def emit(self, event: Event) -> None: ...

    def settle(self, settlement: Settlement) -> Awaitable[SettleOutcome]: ...


class Follower(Protocol):
    """The part of `fleet.store.ConfigFollower` that a worker reads."""

    @property
    def config(self) -> FleetConfig: ...

    @property
    def switches(self) -> Mapping[str, object]: ...

    def paused(
        self, *, pool: str | None = None, tenant: str | None = None, task_type: str | None = None
    ) -> str | None: ...


@dataclass(slots=True)
class Services:
    settings: WorkerSettings
    queue: Queue
    commit: Commit
    ledger: Ledger
    follower: Follower
    deadlines: Deadlines
    code: Code
    holds: OpenHolds
    background: Background
    progress: Progress
    routes: "Routes"
    client: "AsyncAnthropic"
