"""The seams of the house: what services need, not how it is done. Adapters and fakes implement these."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from agentfleet_core.budget.limits import (
    Balance,
    Hold,
    LimitWindow,
    Refused,
    Reserved,
    Settled,
    Swept,
    Waiting,
)
from agentfleet_core.queue.envelope import (
    Claim,
    Envelope,
    Event,
    JournalEntry,
    PoolCounters,
    Settlement,
    SettleOutcome,
    TaskRecord,
    WorkerRecord,
)


class Queue(Protocol):
    """One pool's queue. Every operation is one script, safe to send twice, on keys of one slot.

    Raises `Unavailable` when Redis cannot be reached.
    """

    async def submit(self, envelopes: Sequence[Envelope]) -> list[bool]:
        """Admit; False where the id was known already (a repeat changes nothing)."""
        ...

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
        """Up to `slots` tasks in weighted fair share; due and orphaned ones are promoted first.

        Empty for a draining worker. `revisions`: the worker's own first; empty or with `ANY_REVISION` among
        them: any. What is paused is left where it waits.
        """
        ...

    async def wait(self, timeout_seconds: float) -> None:
        """Return when there may be work to claim, or at the time-out (a doorbell, re-checked once armed)."""
        ...

    async def journal(self, entries: Sequence[JournalEntry], events: Sequence[Event] = ()) -> list[bool]:
        """Write step results and events of running tasks; False where the attempt is stale."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[SettleOutcome]: ...

    async def extend(self, worker: str, attempts: Mapping[str, int], *, lease_ms: int) -> list[str]:
        """Renew the leases of all that a worker holds (task id to attempt).

        Returns what it lost or must cancel.
        """
        ...

    async def cancel(self, task_id: str, reason: str) -> bool:
        """End it as cancelled now, by tombstone if queued; a running attempt learns it at its next write."""
        ...

    async def delete(self, task_id: str) -> bool:
        """Erase input, output, journal and events of an ended task; its cost and state stay."""
        ...

    async def get(self, task_ids: Sequence[str]) -> list[TaskRecord | None]: ...

    async def steps(self, task_id: str) -> Mapping[str, bytes]:
        """The journal."""
        ...

    def follow(self, task_id: str, after: str = "0") -> AsyncIterator[Event]:
        """Events after a stream id, then new ones as they come, until the task's `ended`."""
        ...

    async def counters(self) -> PoolCounters: ...

    async def workers(self) -> list[WorkerRecord]: ...

    async def drain(self, workers: Sequence[str]) -> None:
        """These claim nothing more."""
        ...

    async def forget(self, worker: str) -> None:
        """A worker that has ended: its record goes; what it still holds stays leased until the lease ends."""
        ...

    async def unblock(self, tenant: str) -> None:
        """Lift a tenant's not-before and let its budget-parked tasks be claimed again."""
        ...

    async def audit(self) -> bool:
        """Recount the counters from what is there; True when they were right."""
        ...


class Ledger(Protocol):
    """A tenant's money. At every instant spent + held <= limit, for every limit. One script an operation."""

    async def reserve(
        self, tenant: str, hold_id: str, amount: int, limits: Sequence[LimitWindow], *, lease_ms: int
    ) -> Reserved | Refused:
        """Hold `amount` nano-USD on all limits, or on none. The same hold_id twice is the same hold."""
        ...

    async def mark_sent(self, hold: Hold) -> bool:
        """The request leaves now: from here the hold is charged if its lease ends. False: do not send."""
        ...

    async def settle(self, hold: Hold, cost: int, *, unconfirmed: bool = False) -> Settled:
        """Replace the hold by the real cost, once, however often called; `overrun`: how far it passed it.

        `unconfirmed`: the provider's word is missing (a stream was cut), so `cost` is the hold's amount; a
        later settle with the real cost corrects it.
        """
        ...

    async def release(self, hold: Hold) -> None:
        """Give an unsent hold back."""
        ...

    async def extend(self, holds: Sequence[Hold], *, lease_ms: int) -> None: ...

    async def sweep(self, tenant: str) -> Swept:
        """Release unsent and charge sent holds whose lease has ended, as `unconfirmed`."""
        ...

    async def note_wait(self, tenant: str, waiting: Waiting, *, wait_ms: int) -> None:
        """It waits at most so long: for whoever asks why; nothing is decided by it."""
        ...

    async def waits(self, tenant: str) -> list[Waiting]:
        """Who waits for open holds now, of the last 1,000 that were noted."""
        ...

    async def balances(self, tenant: str, limits: Sequence[LimitWindow]) -> list[Balance]: ...
