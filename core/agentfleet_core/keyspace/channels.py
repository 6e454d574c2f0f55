"""Pub/sub: a bell for each channel that somebody listens to, over one connection per client.

A ring is a hint, never a promise: what is published while the connection is lost is never heard. So a bell
also rings when its subscription stands, again after each lost connection, and whoever must not miss anything
looks for itself from time to time.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

log: Final = logging.getLogger(__name__)

READ_SECONDS: Final = 30.0
RECONNECT_SECONDS: Final = 0.2
_TROUBLE: Final = (RedisError, OSError, TimeoutError)

Hear = Callable[[bytes], None]
"""Called with each message; empty when the subscription stands and messages may have been missed."""


@dataclass(slots=True)
class Bell:
    """Counts a channel's rings, so that one between a look and the wait for the next is not missed."""

    rings: int = 0
    listeners: int = 0
    hearers: list[Hear] = field(default_factory=list)
    _rang: asyncio.Event = field(default_factory=asyncio.Event)

    def ring(self, message: bytes) -> None:
        self.rings += 1
        self._rang.set()
        for hear in self.hearers:
            try:
                hear(message)
            except Exception:
                # The edge of one hearer: what it cannot take must not silence all the others of this client.
                log.exception("a message of %d bytes could not be taken", len(message))

    async def after(self, rings: int, timeout_seconds: float) -> None:
        """Return when it rang more often than `rings`, or at the time-out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self.rings == rings:
                    self._rang.clear()
                    await self._rang.wait()


class Channels:
    """One per client, see `connect.channels_of`; connects when the first listens."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._bells: dict[str, Bell] = {}
        self._connection: PubSub | None = None
        self._reader: asyncio.Task[None] | None = None
        self._closing = False

    @contextlib.asynccontextmanager
    async def listen(self, name: str, hear: Hear | None = None) -> AsyncIterator[Bell]:
        """The channel's bell, shared by its listeners: 0 rings until it is connected, which never raises."""
        bell = self._bells.setdefault(name, Bell())
        bell.listeners += 1
        if hear is not None:
            bell.hearers.append(hear)
        try:
            if bell.listeners == 1:
                await self._subscribe(name)
            yield bell
        finally:
            bell.listeners -= 1
            if hear is not None:
                bell.hearers.remove(hear)
            if bell.listeners == 0:
                del self._bells[name]
                await self._unsubscribe(name)

    async def close(self) -> None:
        self._closing = True  # a cancel inside the Redis client may come out as a lost connection
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _subscribe(self, *names: str) -> None:
        if self._reader is None or self._reader.done():
            self._closing = False
            self._reader = asyncio.create_task(self._read(), name="redis-channels")
        elif self._connection is not None and names:
            with contextlib.suppress(*_TROUBLE):
                await self._connection.subscribe(*names)

    async def _unsubscribe(self, name: str) -> None:
        if self._connection is not None:
            with contextlib.suppress(*_TROUBLE):
                await self._connection.unsubscribe(name)

    async def _read(self) -> None:
        """Until `close`, or until a connection is lost that nobody needs."""
        heard = True
        while self._bells and not self._closing:
            try:
                async with self._redis.pubsub() as connection, self._in_use(connection):
                    while True:
                        message = await connection.get_message(timeout=READ_SECONDS)
                        heard = True
                        await self._take(message)
            except _TROUBLE as error:
                if heard and not self._closing:
                    log.warning("channels are not heard until Redis is: %s", error)
                heard = False
                await asyncio.sleep(RECONNECT_SECONDS)

    @contextlib.asynccontextmanager
    async def _in_use(self, connection: PubSub) -> AsyncIterator[None]:
        """Subscribed to all channels, also of those who began to listen while the others were subscribed.

        Nobody uses it after: a pub/sub object that was closed would connect again, and never be read.
        """
        wanted = set(self._bells)
        await connection.subscribe(*wanted)
        self._connection = connection
        try:
            await self._subscribe(*(self._bells.keys() - wanted))
            yield
        finally:
            self._connection = None

    async def _take(self, message: dict[str, Any] | None) -> None:
        """Ring the channel's bell; what lost its last listener while it was subscribed is left."""
        if message is None or message["type"] not in ("message", "subscribe"):
            return
        name = message["channel"].decode()
        bell = self._bells.get(name)
        if bell is None:
            await self._unsubscribe(name)
        else:
            bell.ring(message["data"] if message["type"] == "message" else b"")
