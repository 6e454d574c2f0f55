"""How every process reaches Redis: bounded in time, reconnecting, its errors as ours.

A client is made here and nowhere else, so that no command can hang for ever and every lost connection is
tried again. Never `decode_responses`: payloads are bytes.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from agentfleet_core.errors import Unavailable
from agentfleet_core.keyspace.channels import Channels
from agentfleet_core.keyspace.steady import STEADY, SteadyConnection, SteadyUnixConnection
from agentfleet_core.keyspace.wire import Address, Wire

COMMAND_SECONDS = 5.0
"""A command that blocks in Redis (BLPOP, XREAD BLOCK) must ask for less than this."""
CONNECT_SECONDS = 2.0
RETRIES = 3
MAX_CONNECTIONS = 512

_LOST = (RedisConnectionError, RedisTimeoutError)
_OUT_OF_REACH = (
    *_LOST,
    OutOfMemoryError,
    ReadOnlyError,
    ClusterDownError,
    TryAgainError,
    OSError,
    TimeoutError,
)
_REFUSED_FOR_NOW = re.compile(
    r"(?:(?:ERR )?Error running script .*?: -)?"  # Redis 6 puts around it what Redis 7 leaves away
    r"((?:LOADING|MISCONF|MASTERDOWN|NOREPLICAS|BUSY|OOM|READONLY|CLUSTERDOWN|TRYAGAIN) .*)",
    re.DOTALL,
)
"""An answer that the same command may not get in a moment: its code and Redis's own words."""


class FleetRedis(Redis):
    """redis-py's client, with two connections beside its pool: for what answers at once, and for pub/sub."""

    _wire: Wire | None = None
    _channels: Channels | None = None
    command_seconds: float = COMMAND_SECONDS
    retries: int = RETRIES

    def wire(self) -> Wire | None:
        """The shared connection of the running loop; None where only redis-py knows how to connect (TLS)."""
        wire = self._wire
        if wire is not None and wire.loop is asyncio.get_running_loop():
            return wire
        address = _plain_address(self)
        if address is None:
            return None
        self._wire = Wire(
            address,
            command_seconds=self.command_seconds,
            connect_seconds=min(CONNECT_SECONDS, self.command_seconds),
            retries=self.retries,
        )
        return self._wire

    @property
    def channels(self) -> Channels:
        if self._channels is None:
            self._channels = Channels(self)
        return self._channels

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        if self._channels is not None:
            await self._channels.close()
        if self._wire is not None:
            self._wire.close()
        await super().aclose(close_connection_pool)


def _plain_address(redis: Redis) -> Address | None:
    pool = redis.connection_pool
    options = pool.connection_kwargs
    if options.get("credential_provider") or pool.connection_class not in (
        SteadyConnection,
        SteadyUnixConnection,
    ):
        return None
    return Address(
        host=options.get("host", "localhost"),
        port=int(options.get("port", 6379)),
        path=options.get("path", ""),
        db=int(options.get("db", 0)),
        username=options.get("username") or "",
        password=options.get("password") or "",
    )


def connect(
    url: str,
    *,
    command_seconds: float = COMMAND_SECONDS,
    retries: int = RETRIES,
    max_connections: int = MAX_CONNECTIONS,
) -> FleetRedis:
    """A client that sends nothing before the first command; `await client.aclose()` ends it.

    A lost connection is tried again `retries` times with jittered backoff (some 0.3 s in all), so what is
    sent must be safe to send twice.
    """
    client = FleetRedis.from_url(
        url,
        decode_responses=False,
        protocol=2,
        socket_timeout=command_seconds,
        socket_connect_timeout=min(CONNECT_SECONDS, command_seconds),
        socket_keepalive=True,
        max_connections=max_connections,
        retry=Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.5), retries, _LOST),
    )
    assert isinstance(client, FleetRedis)  # noqa: S101  # redis-py types what from_url returns as Redis
    client.connection_pool.connection_class = STEADY[client.connection_pool.connection_class]
    client.command_seconds, client.retries = command_seconds, retries
    return client


def channels_of(redis: Redis) -> Channels:
    """What all listeners of a client share; it ends with the client."""
    assert isinstance(redis, FleetRedis)  # noqa: S101  # made by `connect`, typed as what it is used as
    return redis.channels


async def redis_time(redis: Redis) -> datetime:
    """By which its scripts judge budget windows, leases and ages; a process's own clock may be off.

    Raises `Unavailable`.
    """
    with reaching_redis():
        seconds, micros = await redis.time()
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros)


@contextmanager
def reaching_redis() -> Iterator[None]:
    """Turns what redis-py raises for a Redis that cannot serve now into `Unavailable`, the cause chained."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        refused = _REFUSED_FOR_NOW.match(str(error))
        if refused:
            raise Unavailable(f"Redis cannot serve this now: {refused[1]}") from error
        if is_out_of_reach(error):
            raise Unavailable(f"Redis cannot be reached: {error}") from error
        raise


def is_out_of_reach(error: Exception) -> bool:
    """Whether the same command may succeed in a moment, unchanged."""
    return isinstance(error, _OUT_OF_REACH) or _REFUSED_FOR_NOW.match(str(error)) is not None
