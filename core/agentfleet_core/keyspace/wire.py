"""One connection that many callers share: what they send in one turn of the loop leaves in one write.

redis-py takes a connection per command and packs it in Python; scripts are most of what agentfleet sends, and
here they cost a small part of that. Only commands that answer at once may go over it: a blocking one would
hold up all others. Whatever is sent must be safe to send twice: it is sent again when the connection breaks.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from agentfleet_core.resilience.backoff import doubled_seconds

Command = tuple[bytes | str | int | float, ...]

FIRST_RETRY_SECONDS = 0.02
LONGEST_RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is, and how it lets us in. `path` is a Unix socket; then host and port are not used."""

    host: str
    port: int
    path: str = ""
    db: int = 0
    username: str = ""
    password: str = ""


class _Exchange:
    """What was sent together: how many replies are still to come, and since when."""

    __slots__ = ("due", "future", "replies", "sent_at")

    def __init__(self, future: "asyncio.Future[list[Any]]", due: int, sent_at: float) -> None:
        self.future = future
        self.due = due
        self.replies: list[Any] = []
        self.sent_at = sent_at


class _Link(asyncio.Protocol):
    """One live connection. Replies come in the order of the commands."""

    def __init__(self, loop: asyncio.AbstractEventLoop, patience_seconds: float) -> None:
        self._loop = loop
        self._patience_seconds = patience_seconds
        self._reader = hiredis.Reader(replyError=_reply_error)
        self._exchanges: deque[_Exchange] = deque()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                exchange = self._exchanges[0]
                exchange.replies.append(reply)
                exchange.due -= 1
                if not exchange.due:
                    self._exchanges.popleft()
                    if not exchange.future.done():
                        exchange.future.set_result(exchange.replies)
        except (hiredis.ProtocolError, IndexError) as error:
            self._break(RedisConnectionError(f"what Redis sent cannot be read: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        self._break(RedisConnectionError(f"the connection to Redis was lost: {error or 'it was closed'}"))

    def send(self, packed: bytes, count: int) -> "asyncio.Future[list[Any]]":
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._exchanges.append(_Exchange(future, count, self._loop.time()))
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(packed)
        if self._watch is None:
            self._watch = self._loop.call_later(self._patience_seconds, self._look)
        return future

    def close(self) -> None:
        self._break(RedisConnectionError("the connection to Redis was closed"))

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None and not self.lost:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _look(self) -> None:
        """One timer for all: the oldest exchange is the one that waits longest."""
        self._watch = None
        if not self._exchanges:
            return
        left = self._exchanges[0].sent_at + self._patience_seconds - self._loop.time()
        if left <= 0:
            self._break(RedisTimeoutError(f"Redis did not answer within {self._patience_seconds:g} s"))
        else:
            self._watch = self._loop.call_later(left, self._look)

    def _break(self, error: Exception) -> None:
        if self.lost:
            return
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()
        for exchange in self._exchanges:
            if not exchange.future.done():
                exchange.future.set_exception(error)
        self._exchanges.clear()


class Wire:
    """A shared connection, made at the first need and anew after a loss. Belongs to one event loop."""

    def __init__(
        self, address: Address, *, command_seconds: float, connect_seconds: float, retries: int
    ) -> None:
        self._address = address
        self._command_seconds = command_seconds
        self._connect_seconds = connect_seconds
        self._retries = retries
        self._link: _Link | None = None
        self._connecting = asyncio.Lock()
        self.loop = asyncio.get_running_loop()

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """The replies in order; one that is an error is a `ResponseError` among them.

        Raises redis-py's ConnectionError or TimeoutError when the retries are used up.
        """
        packed = b"".join([_pack(command) for command in commands])
        tries = 0
        while True:
            try:
                link = self._link
                if link is None or link.lost:
                    link = await self._connected()
                return await link.send(packed, len(commands))
            except (RedisConnectionError, RedisTimeoutError):
                if tries >= self._retries:
                    raise
                tries += 1
                longest = doubled_seconds(
                    tries, base_seconds=FIRST_RETRY_SECONDS, cap_seconds=LONGEST_RETRY_SECONDS
                )
                await asyncio.sleep(random.uniform(0.5, 1.0) * longest)

    def close(self) -> None:
        if self._link is not None:
            self._link.close()

    async def _connected(self) -> _Link:
        async with self._connecting:
            if self._link is None or self._link.lost:
                self._link = await self._open()
            return self._link

    async def _open(self) -> _Link:
        loop, address = asyncio.get_running_loop(), self._address
        made = _Link(loop, self._command_seconds)
        try:
            async with asyncio.timeout(self._connect_seconds):
                if address.path:
                    await loop.create_unix_connection(lambda: made, address.path)
                else:
                    await loop.create_connection(lambda: made, address.host, address.port)
                greeting = _greeting(address)
                if greeting:
                    packed = b"".join([_pack(command) for command in greeting])
                    for reply in await made.send(packed, len(greeting)):
                        if isinstance(reply, Exception):
                            raise RedisConnectionError(f"Redis does not let us in: {reply}")
        except TimeoutError as error:
            made.close()
            raise RedisTimeoutError(f"no connection to Redis within {self._connect_seconds:g} s") from error
        except OSError as error:
            raise RedisConnectionError(f"no connection to Redis: {error}") from error
        return made


def _greeting(address: Address) -> list[Command]:
    commands: list[Command] = []
    if address.password:
        user = (address.username,) if address.username else ()
        commands.append(("AUTH", *user, address.password))
    if address.db:
        commands.append(("SELECT", address.db))
    return commands


def _reply_error(message: str) -> ResponseError:
    return NoScriptError(message) if message.startswith("NOSCRIPT") else ResponseError(message)


def _pack(command: Command) -> bytes:
    """hiredis takes any number of arguments; its stub says one."""
    return cast("bytes", hiredis.pack_command(cast("Any", command)))
