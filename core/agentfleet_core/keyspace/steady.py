"""redis-py's connections, with writes that never lose a cancellation, and one reconnect at a time.

redis-py bounds a write by `asyncio.wait_for`. On Python 3.11 that returns as if nothing had happened when it
is cancelled in the turn of the loop in which the write ends: a task that was told to stop then goes on for
ever. `asyncio.timeout` has no such gap, and makes no task for each command.

A pub/sub connection is used by several tasks: one listens, others subscribe. When it breaks, all of them
connect it anew, a later socket takes an earlier one's place, and that one is never closed.
"""

import asyncio
from collections.abc import Iterable

from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError


class SteadyWrites(AbstractConnection):
    """To be mixed into one of redis-py's connections, before it."""

    _connector: asyncio.Task[object] | None = None
    _connecting: asyncio.Lock | None = None

    async def connect_check_health(
        self, check_health: bool = True, retry_socket_connect: bool = True
    ) -> None:
        """As redis-py's, for one task at a time; the handshake's own commands come from the same task."""
        task = asyncio.current_task()
        if self._connector is not None and self._connector is task:
            await super().connect_check_health(check_health, retry_socket_connect)
            return
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            self._connector = task
            try:
                await super().connect_check_health(check_health, retry_socket_connect)
            finally:
                self._connector = None

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        """As redis-py's: the same health check, the same errors, the connection closed after any of them."""
        if not self.is_connected or self._connector not in (None, asyncio.current_task()):
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()  # type: ignore[no-untyped-call]  # redis-py has it without types
        if isinstance(command, str):
            command = command.encode()
        parts = [command] if isinstance(command, bytes) else command
        try:
            async with asyncio.timeout(self.socket_timeout):
                await self._send_packed_command(parts)
        except TimeoutError as error:
            await self.disconnect(nowait=True)
            raise RedisTimeoutError("Timeout writing to socket") from error
        except OSError as error:
            await self.disconnect(nowait=True)
            raise RedisConnectionError(f"Error while writing to socket: {error}") from error
        except BaseException:
            # What was written of the command is not known, so nothing else may follow it.
            await self.disconnect(nowait=True)
            raise


class SteadyConnection(SteadyWrites, Connection):
    """Over TCP."""


class SteadyUnixConnection(SteadyWrites, UnixDomainSocketConnection):
    """Over a Unix socket."""


class SteadyTlsConnection(SteadyWrites, SSLConnection):
    """Over TLS."""


STEADY: dict[type[AbstractConnection], type[SteadyWrites]] = {
    Connection: SteadyConnection,
    UnixDomainSocketConnection: SteadyUnixConnection,
    SSLConnection: SteadyTlsConnection,
}
"""redis-py's class to ours."""
