"""A task's events for someone who waits on a connection: a sign of life when nothing happens, and an end
when the process stops. Reading them is the queue's; there, all followers share one Redis connection.
"""

import asyncio
from collections.abc import AsyncGenerator

from agentfleet_coordinator.queues import Queues
from agentfleet_core.queue.envelope import Event

BEGINNING = "0"


class Follows:
    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._stopping = asyncio.Event()
        self.count = 0
        """Who follows now."""

    def stop(self) -> None:
        """Every follower's events end here; clients resume elsewhere, behind the last one they got."""
        self._stopping.set()

    async def events(
        self, task_id: str, after: str, *, idle_seconds: float
    ) -> AsyncGenerator[Event | None, None]:
        """Events behind `after` until the task's `ended`; None after each idle time.

        Raises `NotFound` for an unknown task, `Unavailable` when Redis is out of reach.
        """
        found = self._queues.of(task_id).follow(task_id, after)
        stopping = asyncio.ensure_future(self._stopping.wait())
        upcoming: asyncio.Future[Event] | None = None
        self.count += 1
        try:
            while not stopping.done():
                upcoming = upcoming or asyncio.ensure_future(anext(found))
                await asyncio.wait(
                    (upcoming, stopping), timeout=idle_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if upcoming.done():
                    event, upcoming = upcoming, None
                    try:
                        yield event.result()
                    except StopAsyncIteration:
                        return
                elif not stopping.done():
                    yield None
        finally:
            self.count -= 1
            stopping.cancel()
            if upcoming is not None:
                upcoming.cancel()
                await asyncio.gather(upcoming, return_exceptions=True)
            await found.aclose()
