"""The side door of a worker or an operator: /metrics, /healthz, /readyz on the process's own event loop.

It shares that loop on purpose: a loop that is blocked does not answer, and that is what liveness asks.
Nothing else is served here, no body is read, and a slow client is cut off.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType

from agentfleet_core.telemetry import metrics

_REQUEST_SECONDS = 5.0
_MAX_HEAD_BYTES = 16_384


class ProbeServer:
    """`async with ProbeServer(host, port, ready=…)`; `port` 0 takes a free one, then see `.port`.

    `ready` and `alive` return what is wrong, or the empty string when nothing is.
    """

    def __init__(
        self, host: str, port: int, *, ready: Callable[[], str] = str, alive: Callable[[], str] = str
    ) -> None:
        self.host = host
        self.port = port
        self._ready = ready
        self._alive = alive
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=_MAX_HEAD_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> "ProbeServer":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response(405, b"only GET\n")
        if path == b"/metrics":
            return _response(200, metrics.exposition(), metrics.CONTENT_TYPE)
        checks = {b"/healthz": self._alive, b"/readyz": self._ready}
        if path not in checks:
            return _response(404, b"there are /metrics, /healthz and /readyz\n")
        wrong = checks[path]()
        return _response(503, f"{wrong}\n".encode()) if wrong else _response(200, b"ok\n")


def _response(status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> bytes:
    words = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
    head = (
        f"HTTP/1.1 {status} {words[status]}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
