"""Group commit: many tasks' journal entries, settlements and the next claim, in one round trip.

A worker runs many tasks at once; each awaits its own journal write. What is asked for while a write is under
way goes out together with the next one: journal entries first, then settlements, then the claim that fills
the slots which those settlements freed. Nothing is held back to make batches larger.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agentfleet_core.errors import AgentfleetError, Unavailable
from agentfleet_core.keyspace.scripts import Call, run_all
from agentfleet_core.queue.calls import Write, check_entry, check_event, check_settlement
from agentfleet_core.queue.envelope import Claim, Event, JournalEntry, Settlement, SettleOutcome
from agentfleet_core.queue.streams import PoolQueue

WRITES_AT_ONCE = 4
"""While Redis works on one, the loop fills the next."""
RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Waits between tries while Redis is away; the last one repeats."""

_OUTCOMES = {outcome.encode(): outcome for outcome in SettleOutcome}


@dataclass(slots=True)
class _Batch:
    """What one round trip carries, and who waits for it."""

    writes: list[Write]
    written: list["asyncio.Future[bool] | None"]
    """Of each write, who waits for it: nobody for an event alone."""
    settlements: list[tuple[Settlement, "asyncio.Future[SettleOutcome]", Callable[[], object] | None]]
    """Of each, who waits for its outcome, and what counts it."""
    claim: "tuple[Call, asyncio.Future[list[Claim]]] | None"


class GroupCommit:
    """Journal entries and settlements are tried until Redis answers or `close` gives up: the attempt's
    fencing token makes a late one harmless. A claim that finds Redis away raises `Unavailable` at once.
    """

    def __init__(self, queue: PoolQueue) -> None:
        self._queue = queue
        self._loop = asyncio.get_running_loop()
        self._batch = _Batch([], [], [], None)
        self._writes: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._closing = False
        self._given_up = False

    async def journal(self, entry: JournalEntry, events: Sequence[Event] = ()) -> bool:
        """Returns when it is written; False: the attempt is stale. `InvalidInput`: it is too large."""
        check_entry(entry)
        for event in events:
            check_event(event)
        future: asyncio.Future[bool] = self._loop.create_future()
        self._put((entry, events[0] if events else None), future)
        for event in events[1:]:
            self._put((None, event), None)
        self._schedule()
        return await future

    def emit(self, event: Event) -> None:
        """An event that nobody waits for, such as a text delta. Raises `InvalidInput` over the size limit."""
        check_event(event)
        self._put((None, event), None)
        self._schedule()

    def _put(self, write: Write, written: "asyncio.Future[bool] | None") -> None:
        self._batch.writes.append(write)
        self._batch.written.append(written)

    def settle(
        self, settlement: Settlement, count: Callable[[], object] | None = None
    ) -> "asyncio.Future[SettleOutcome]":
        """Queued when it returns, so the slot is free at once: the next claim goes out behind it. `count` is
        called if its outcome is DONE; a callback of the future would cost more.
        """
        check_settlement(settlement)
        future: asyncio.Future[SettleOutcome] = self._loop.create_future()
        self._batch.settlements.append((settlement, future, count))
        self._schedule()
        return future

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
        """As `ports.Queue.claim`, in the same round trip as what is pending; one claim at a time."""
        call = self._queue.calls.claim(
            worker,
            slots,
            lease_ms=lease_ms,
            number=self._queue.claim_number(),
            revisions=revisions,
            paused_tenants=paused_tenants,
            paused_types=paused_types,
        )
        future: asyncio.Future[list[Claim]] = self._loop.create_future()
        self._batch.claim = (call, future)
        self._schedule()
        return await future

    async def close(self, timeout_seconds: float) -> None:
        """Writes what is pending, for at most this long; what could not be written raises `Unavailable`."""
        self._closing = True
        self._flush()
        while self._writes:
            _, late = await asyncio.wait(self._writes, timeout=timeout_seconds)
            self._given_up = bool(late)
            for write in late:
                write.cancel()
            if late:
                await asyncio.wait(late)

    def _schedule(self) -> None:
        if not self._scheduled and len(self._writes) < WRITES_AT_ONCE:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        batch = self._batch
        if batch.writes or batch.settlements or batch.claim:
            self._batch = _Batch([], [], [], None)
            write = self._loop.create_task(self._write(batch))
            self._writes.add(write)
            write.add_done_callback(self._written)

    def _written(self, write: "asyncio.Task[None]") -> None:
        self._writes.discard(write)
        self._flush() if self._closing else self._schedule()

    async def _write(self, batch: _Batch) -> None:
        tries = 0
        while True:
            try:
                self._answer(batch, await run_all(self._queue.redis, self._calls(batch)))
                return
            except Unavailable as error:
                if batch.claim:
                    _fail([batch.claim[1]], error)
                    batch.claim = None
                if not (any(batch.written) or batch.settlements) or self._given_up:
                    _fail(_waiting(batch), error)
                    return
                await self._wait_to_retry(batch, tries, error)
                tries += 1
            except AgentfleetError as error:
                _fail(_waiting(batch), error)
                return
            except BaseException as error:
                _fail(_waiting(batch), error)
                raise

    async def _wait_to_retry(self, batch: _Batch, tries: int, error: Unavailable) -> None:
        try:
            await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
        except asyncio.CancelledError:
            _fail(_waiting(batch), error)
            raise

    def _calls(self, batch: _Batch) -> list[Call]:
        calls = []
        if batch.writes:
            calls.append(self._queue.calls.journal(batch.writes))
        if batch.settlements:
            calls.append(self._queue.calls.settle([settlement for settlement, _, _ in batch.settlements]))
        if batch.claim:
            calls.append(batch.claim[0])
        return calls

    def _answer(self, batch: _Batch, replies: list[Any]) -> None:
        answers = iter(replies)
        if batch.writes:
            for written, current in zip(batch.written, next(answers), strict=True):
                if written is not None and not written.done():
                    written.set_result(current == 1)
        if batch.settlements:
            for (_, settled, count), outcome in zip(batch.settlements, next(answers), strict=True):
                if not settled.done():
                    settled.set_result(_OUTCOMES[outcome])
                if count is not None and outcome == b"done":
                    count()
        if batch.claim and not batch.claim[1].done():
            claims, refusals = self._queue.claimed(next(answers))
            for refusal in refusals:
                self.settle(refusal)
            batch.claim[1].set_result(claims)


def _waiting(batch: _Batch) -> list["asyncio.Future[Any]"]:
    futures: list[asyncio.Future[Any]] = [written for written in batch.written if written is not None]
    futures += [future for _, future, _ in batch.settlements]
    if batch.claim:
        futures.append(batch.claim[1])
    return futures


def _fail(futures: list["asyncio.Future[Any]"], error: BaseException) -> None:
    for future in futures:
        if not future.done():
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(error)
