"""The HTTP server around the app: how it listens, and how it stops without dropping anybody."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agentfleet_coordinator.app import create_asgi
from agentfleet_coordinator.services import Services

GRACE_SECONDS = 20
"""For requests under way when it is told to stop."""
KEEP_ALIVE_SECONDS = 75
"""Longer than what load balancers keep, so that they close first."""
BACKLOG = 4_096
MAX_HEAD_BYTES = 65_536


class BoundedHead(HttpToolsProtocol):
    """A request's line and headers are kept until they are complete: up to here, then it is cut off."""

    _head_bytes = 0
    _in_head = True

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The request's headers are too large.")


class Server(uvicorn.Server):
    """On the caller's loop and with the caller's services, which outlive the last request."""

    def __init__(self, services: Services, host: str, port: int) -> None:
        self._services = services
        super().__init__(
            uvicorn.Config(
                create_asgi(services),
                host=host,
                port=port,
                http=BoundedHead,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
                backlog=BACKLOG,
            )
        )

    def stop_on_signals(self) -> None:
        """SIGTERM and SIGINT stop it gracefully; a second SIGINT at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Not uvicorn's way: it raises the signal again when it has stopped, and so skips our own end."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Followers go first: their streams would never end by themselves."""
        self._services.stop()
        await super().shutdown(sockets)
