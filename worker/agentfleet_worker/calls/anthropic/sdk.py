"""The SDK above the metered transport, imported while the first claim is already under way.

It is most of what a worker imports: before the claim, it would more than double the time that a pool at zero
needs to wake. In a thread, since a loop that waits for it would renew and start nothing.
"""

import asyncio
import importlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

MODULE = "anthropic.resources.messages"
"""The package, and what the first call would load."""


class Sdk:
    def __init__(self, transport: httpx2.AsyncBaseTransport) -> None:
        self._transport = transport
        self._imported: asyncio.Future[Any] | None = None

    def start(self) -> "asyncio.Future[Any]":
        """Begins the import, or finds it begun."""
        if self._imported is None:
            self._imported = asyncio.get_running_loop().run_in_executor(None, importlib.import_module, MODULE)
        return self._imported

    async def ready(self) -> "AsyncAnthropic":
        # Shielded, since a task that gives up waiting must not end it for the others.
        await asyncio.shield(self.start())
        return self.client

    @cached_property
    def client(self) -> "AsyncAnthropic":
        """Waits for the import where it has not ended. The key is the transport's business; so are retries
        and time-outs.
        """
        from anthropic import AsyncAnthropic

        return AsyncAnthropic(
            api_key="held-by-the-transport",
            base_url="https://api.anthropic.com",
            max_retries=0,
            timeout=httpx2.Timeout(None),
            http_client=httpx2.AsyncClient(transport=self._transport, timeout=httpx2.Timeout(None)),
        )
