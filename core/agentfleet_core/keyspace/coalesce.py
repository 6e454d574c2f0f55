"""Group commit for scripts: calls made while a round trip is under way share the next one.

An idle process pays no wait: its call leaves at once. A busy one sends what has gathered in one write, so
that all who wait for a round trip share its cost. Calls keep their order.
"""

import asyncio
from typing import Any, Final

from redis.asyncio import Redis

from agentfleet_core.errors import AgentfleetError, Unavailable
from agentfleet_core.keyspace.scripts import Call, run_each

MOST_AT_ONCE: Final = 200
"""Calls in one round trip at most: a script's turn in Redis is bounded."""


class Coalescer:
    """One per process and purpose. A caller that is cancelled may still have its call run."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[tuple[Call, asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def run(self, call: Call) -> Any:
        """The script's reply. Raises `Unavailable`, or what the script itself refuses."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, answer))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        return await answer

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                await self._send_batch(batch)
        finally:
            self._sender = None

    async def _send_batch(self, batch: list[tuple[Call, asyncio.Future[Any]]]) -> None:
        replies: list[Any] = [Unavailable("the round trip was given up")] * len(batch)
        try:
            replies = await run_each(self._redis, [call for call, _ in batch])
        except AgentfleetError as error:
            replies = [error] * len(batch)
        finally:
            for (_, answer), reply in zip(batch, replies, strict=True):
                _give(answer, reply)


def _give(answer: asyncio.Future[Any], reply: Any) -> None:
    if answer.done():
        return
    if isinstance(reply, Exception):
        answer.set_exception(reply)
    else:
        answer.set_result(reply)
