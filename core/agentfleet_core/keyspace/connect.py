"""How every process reaches Redis: bounded in time, reconnecting, its errors as ours.

A client is made here and nowhere else, so that no command can hang for ever and every lost connection is
tried again. Never `decode_responses`: payloads are bytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from agentfleet_core.errors import Unavailable

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
_OUT_OF_REACH_CODES = ("LOADING", "MISCONF", "MASTERDOWN", "NOREPLICAS", "BUSY ")
"""Answers that redis-py gives no class of their own."""


def connect(
    url: str,
    *,
    command_seconds: float = COMMAND_SECONDS,
    retries: int = RETRIES,
    max_connections: int = MAX_CONNECTIONS,
) -> Redis:
    """A client with a pool of connections. Nothing is sent before the first command.

    A lost connection is tried again `retries` times with jittered backoff (some 0.3 s in all), so what is
    sent must be safe to send twice.
    """
    return Redis.from_url(
        url,
        decode_responses=False,
        protocol=2,
        socket_timeout=command_seconds,
        socket_connect_timeout=min(CONNECT_SECONDS, command_seconds),
        socket_keepalive=True,
        max_connections=max_connections,
        retry=Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.5), retries, _LOST),
    )


@contextmanager
def reaching_redis() -> Iterator[None]:
    """Turns what redis-py raises for a Redis that cannot serve now into `Unavailable`, the cause chained."""
    try:
        yield
    except _OUT_OF_REACH as error:
        raise Unavailable(f"Redis cannot be reached: {error}") from error
    except ResponseError as error:
        if str(error).startswith(_OUT_OF_REACH_CODES):
            raise Unavailable(f"Redis cannot serve now: {error}") from error
        raise
