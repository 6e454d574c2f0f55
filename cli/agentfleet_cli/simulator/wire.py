"""A lean HTTP/1.1 server side over httptools: a request comes whole, an answer leaves as ready bytes.

It knows nothing of what is served. A framework's work per request would cost more than the simulation.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote

import httptools


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    too_large: bool = False
    """The body passed the limit and was dropped."""


class Exchange:
    """One request's way back. `on_gone` is called when the client leaves before the end."""

    __slots__ = ("_closed", "_connection", "on_gone")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._closed = False
        self.on_gone: Callable[[], None] | None = None

    def respond(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        head = _head(status, {**headers, "content-length": str(len(body))})
        self._connection.write(head + body)
        self.finish()

    def begin(self, status: int, headers: Mapping[str, str], first: bytes) -> None:
        """A chunked answer; `first` and all that follows are framed already."""
        self._connection.write(_head(status, {**headers, "transfer-encoding": "chunked"}) + first)

    def send(self, framed: bytes) -> None:
        self._connection.write(framed)

    def finish(self) -> None:
        if not self._closed:
            self._closed = True
            self._connection.finished()

    def abort(self) -> None:
        """Break the connection without an end."""
        self._closed = True
        self._connection.abort()

    def gone(self) -> None:
        if not self._closed:
            self._closed = True
            if self.on_gone is not None:
                self.on_gone()


Handler = Callable[[Request, Exchange], None]


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Overloaded"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Connection(asyncio.Protocol):
    """Requests of one connection are answered one after the other."""

    def __init__(
        self, handler: Handler, max_body_bytes: Callable[[], int], register: set["Connection"]
    ) -> None:
        self._handler = handler
        self._max_body_bytes = max_body_bytes
        self._register = register
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._current: Exchange | None = None
        self._transport: asyncio.Transport | None = None
        self._keep_alive = True
        self._start_over()

    def _start_over(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._too_large = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._register.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._register.discard(self)
        self._waiting.clear()
        if self._current is not None:
            self._current.gone()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.write(_head(400, {"content-length": "0", "connection": "close"}))
            self.close()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._max_body_bytes():
            self._too_large = True
            self._body.clear()
        elif not self._too_large:
            self._body.append(body)

    def on_message_complete(self) -> None:
        url = httptools.parse_url(self._url)
        request = Request(
            method=self._parser.get_method().decode(),
            path=unquote(url.path.decode()),
            query=(url.query or b"").decode(),
            headers=self._headers,
            body=b"".join(self._body),
            too_large=self._too_large,
        )
        self._keep_alive = self._parser.should_keep_alive()
        self._start_over()
        self._waiting.append(request)
        if self._current is None:
            self._next()

    def _next(self) -> None:
        while self._current is None and self._waiting:
            exchange = self._current = Exchange(self)
            self._handler(self._waiting.popleft(), exchange)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def finished(self) -> None:
        self._current = None
        if not self._keep_alive:
            self.close()
        elif self._waiting:
            asyncio.get_running_loop().call_soon(self._next)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
