"""Of providers' short answers and the time that a request may take: what paid tries and free counts share."""

from typing import Final

import httpx2

from agentfleet_worker.attempt.limits import MAX_ERROR_BODY_BYTES

PHASES: Final = ("connect", "read", "write", "pool")
"""Of a request, each with a time-out of its own in the transport."""


async def body_of(response: httpx2.Response) -> bytes:
    """Of a short answer, bounded."""
    body = b""
    async for data in response.stream:  # type: ignore[union-attr]  # an async transport's stream
        body = (body + data)[:MAX_ERROR_BODY_BYTES]
    await response.stream.aclose()  # type: ignore[union-attr]  # an async transport's stream
    return body
