"""What a task of a type costs, learned from those that came through here; fair share charges it at the claim.

It need not be exact (the settle corrects it), only of the right size, so a few tasks per type are looked at.
"""

import asyncio
import contextlib
from collections import deque

from agentfleet_coordinator.queues import Queues
from agentfleet_core.errors import Unavailable

WATCHED = 16
"""Tasks per type whose end is waited for."""
ROUND_SECONDS = 5.0
WEIGHT = 0.2
"""Of the newest cost in the running mean."""


class ExpectedCosts:
    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._means: dict[str, float] = {}
        self._watched: dict[str, deque[str]] = {}

    def of(self, task_type: str) -> int:
        """Nano-USD; 0 until one has ended."""
        return int(self._means.get(task_type, 0.0))

    def watch(self, task_type: str, task_id: str) -> None:
        """Learn from this task, if few of its type are watched already."""
        watched = self._watched.get(task_type)
        if watched is None:
            watched = self._watched[task_type] = deque()
        if len(watched) < WATCHED:
            watched.append(task_id)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            with contextlib.suppress(Unavailable):  # a mean that is a round older still serves
                await self.learn()

    async def learn(self) -> None:
        """One round: what has ended goes into the means, what is gone is forgotten."""
        for task_type, watched in self._watched.items():
            ids = list(watched)
            records = await self._queues.read_many(ids)
            for task_id, record in zip(ids, records, strict=True):
                if record is not None and not record.state.ended:
                    continue
                watched.remove(task_id)
                if record is not None:
                    before = self._means.get(task_type, float(record.cost))
                    self._means[task_type] = before + WEIGHT * (record.cost - before)
