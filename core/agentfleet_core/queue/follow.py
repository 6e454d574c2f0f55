"""Following tasks: their events as they come, resumable by number, until the task has ended.

Events are kept with the task; pub/sub only says that there are new ones. One connection serves all followers
of a process, however many: share one `Wakes` between its queues.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from agentfleet_core.errors import NotFound, Unavailable
from agentfleet_core.keyspace.connect import reaching_redis
from agentfleet_core.queue.envelope import Event, TaskState
from agentfleet_core.queue.records import decode_event

LOOK_SECONDS = 2.0
"""A follower looks again after this long without a wake; a task unknown to pub/sub is late by no more."""
EVENTS_PER_READ = 100

Read = Callable[[str], Awaitable[Any]]
"""From the number to start after to what watch.lua replies."""


class Wakes:
    """Channels to the followers that wait on them, over one pub/sub connection, made at the first need.

    When the connection breaks, followers find their events by looking, until it is back.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pubsub: PubSub | None = None
        self._listener: asyncio.Task[None] | None = None
        self._waiting: dict[bytes, set[asyncio.Event]] = {}
        self._closing = False

    @contextlib.contextmanager
    def on(self, channel: str) -> Iterator[asyncio.Event]:
        """Set at each message on the channel, while the block runs."""
        name, event = channel.encode(), asyncio.Event()
        self._waiting.setdefault(name, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[name].discard(event)
            if not self._waiting[name]:
                del self._waiting[name]

    async def subscribe(self, channel: str) -> None:
        """Returns when Redis sends what is published on it. Raises `Unavailable`."""
        with reaching_redis():
            if self._pubsub is None:
                self._pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
            await self._pubsub.subscribe(channel)
        if self._listener is None or self._listener.done():
            self._closing = False
            self._listener = asyncio.create_task(self._listen(self._pubsub))

    async def unsubscribe(self, channel: str) -> None:
        if self._pubsub is not None and channel.encode() not in self._waiting:
            with contextlib.suppress(Unavailable), reaching_redis():
                await self._pubsub.unsubscribe(channel)

    async def close(self) -> None:
        self._closing = True  # a cancel inside the Redis client may come out as a lost connection
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        if self._pubsub is not None:
            await self._pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        self._pubsub = self._listener = None

    async def _listen(self, pubsub: PubSub) -> None:
        while not self._closing:
            try:
                with reaching_redis():
                    message = await pubsub.get_message(timeout=LOOK_SECONDS)
            except Unavailable:
                await asyncio.sleep(LOOK_SECONDS / 4)
                continue
            for event in self._waiting.get(message["channel"], ()) if message else ():
                event.set()


async def follow_task(
    wakes: Wakes, channel: str, task_id: str, after: str, read: Read
) -> AsyncIterator[Event]:
    """Events after the number `after`. Raises `NotFound` for an unknown task, `Unavailable` without Redis."""
    number = int(after) if after.isdigit() else 0
    with wakes.on(channel) as woken:
        await wakes.subscribe(channel)
        try:
            while True:
                woken.clear()
                reply = await read(str(number))
                if reply is None:
                    raise NotFound("task", task_id)
                state, first, kept = TaskState(reply[0].decode()), reply[1], reply[2]
                for number, data in enumerate(kept, first):  # it goes on from the last one read
                    if data is not None:
                        event = decode_event(task_id, number, data)
                        yield event
                        if event.type == "ended":
                            return
                if not kept and state.ended:
                    yield Event(task_id, 0, "ended", orjson.dumps({"state": state}), str(number))
                    return
                if len(kept) < EVENTS_PER_READ:
                    await _wait(woken)
        finally:
            await wakes.unsubscribe(channel)


async def _wait(woken: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOK_SECONDS):
            await woken.wait()
