"""Rings when money of a tenant came free: pub/sub from the ledger's scripts, one connection per process.

A ring is a hint, never a promise: one that is lost with a connection is made good by whoever listens asking
again from time to time. Only tenants that somebody listens for are subscribed to.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from agentfleet_core.errors import Unavailable
from agentfleet_core.keyspace.connect import reaching_redis
from agentfleet_core.keyspace.keys import TenantKeys
from agentfleet_core.settings import FleetId

_READ_SECONDS: Final = 30.0
_RECONNECT_SECONDS: Final = 0.2


@dataclass(slots=True)
class Bell:
    """Counts a tenant's rings, so that one between a refusal and the wait for it is not missed."""

    rings: int = 0
    listeners: int = 0
    _rang: asyncio.Event = field(default_factory=asyncio.Event)

    def ring(self) -> None:
        self.rings += 1
        self._rang.set()

    async def after(self, rings: int, timeout_seconds: float) -> None:
        """Return when it rang more often than `rings`, or at the time-out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self.rings == rings:
                    self._rang.clear()
                    await self._rang.wait()


class Bells:
    """One per process. `close` it."""

    def __init__(self, redis: Redis, fleet_id: FleetId) -> None:
        self._redis = redis
        self._fleet = fleet_id
        self._bells: dict[str, Bell] = {}
        self._channel: PubSub | None = None
        self._reader: asyncio.Task[None] | None = None
        self._closing = False

    async def close(self) -> None:
        self._closing = True  # a cancel inside the Redis client may come out as a lost connection
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def of(self, tenant: str) -> AsyncIterator[Bell]:
        """A bell that is, or will be in a moment, connected; it rings once when it is."""
        bell = self._bells.setdefault(tenant, Bell())
        bell.listeners += 1
        if bell.listeners == 1:
            await self._subscribe(tenant)
        try:
            yield bell
        finally:
            bell.listeners -= 1
            if bell.listeners == 0:
                del self._bells[tenant]
                await self._unsubscribe(tenant)

    async def _subscribe(self, *tenants: str) -> None:
        if self._reader is None:
            self._reader = asyncio.create_task(self._read(), name="budget-bells")
        elif self._channel is not None and tenants:
            with contextlib.suppress(Unavailable), reaching_redis():
                await self._channel.subscribe(*map(self._name, tenants))

    async def _unsubscribe(self, tenant: str) -> None:
        if self._channel is not None:
            with contextlib.suppress(Unavailable), reaching_redis():
                await self._channel.unsubscribe(self._name(tenant))

    async def _read(self) -> None:
        """Until `close`, or until a connection is lost that nobody needs."""
        while self._bells and not self._closing:
            try:
                with reaching_redis():
                    async with self._redis.pubsub() as channel:
                        await self._read_from(channel)
            except Unavailable:
                await asyncio.sleep(_RECONNECT_SECONDS)
            finally:
                self._channel = None
        self._reader = None

    async def _read_from(self, channel: PubSub) -> None:
        wanted = set(self._bells)
        await channel.subscribe(*map(self._name, wanted))
        self._channel = channel
        await self._subscribe(*(set(self._bells) - wanted))
        while True:
            self._heard(await channel.get_message(timeout=_READ_SECONDS))

    def _heard(self, message: dict[str, Any] | None) -> None:
        """The start of a subscription rings too: what happened before it may have made room."""
        if message is None or message["type"] not in ("message", "subscribe"):
            return
        bell = self._bells.get(message["channel"].decode().rpartition(":")[2])
        if bell is not None:
            bell.ring()

    def _name(self, tenant: str) -> str:
        return TenantKeys(self._fleet, tenant).room
