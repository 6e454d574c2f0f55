"""The provider's own count of a prompt's tokens: free, asked for only where it decides, and believed until an
answer has proved it wrong.

What a count lets through is bounded by it, so one that is too low would let the tenant's limit be passed by
every call: after the first of them the local bound holds alone, for as long as this process lives.
"""

import asyncio
import math
import time

import httpx2

from agentfleet_core.errors import CostUnknown
from agentfleet_core.resilience.retry_after import retry_after_seconds
from agentfleet_worker.calls.answers import PHASES, body_of
from agentfleet_worker.calls.call import Headers, PaidCall, Target

COUNT_SECONDS = 5.0
"""How long a count of tokens may take: it only spares a wait. So long none is asked for, too, after a refusal
that says no time of its own.
"""


class Counts:
    def __init__(self, wire: httpx2.AsyncBaseTransport) -> None:
        self._wire = wire
        self._closed_until: dict[tuple[str, str], float] = {}
        """Address and model to when it may be asked again, monotonic; never, if its count was wrong."""

    def may_ask(self, target: Target) -> bool:
        return time.monotonic() >= self._closed_until.get(_name(target), 0.0)

    def trusts(self, target: Target) -> bool:
        """Whether what was counted still holds."""
        return self._closed_until.get(_name(target), 0.0) < math.inf

    def found_wrong(self, target: Target) -> None:
        """A call has cost more than its count let it."""
        self._closed_until[_name(target)] = math.inf

    async def ask(self, paid: PaidCall, headers: Headers) -> int | None:
        """The prompt's tokens by the provider's own count; None when it cannot be had soon."""
        target = paid.target
        count = target.provider.count(paid.bounded.request)
        seconds = min(COUNT_SECONDS, paid.until - time.monotonic())
        if count is None or seconds <= 0:
            return None
        request = httpx2.Request(
            "POST", target.base_url + count.path, headers=headers, content=count.body,
            extensions={"timeout": dict.fromkeys(PHASES, seconds)},
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds):
                response = await self._wire.handle_async_request(request)
                body = await body_of(response)
            if response.status_code == 429:
                self._refused(target, response)
            return target.provider.counted(body) if response.status_code == 200 else None
        except (httpx2.TransportError, TimeoutError, CostUnknown):
            return None

    def _refused(self, target: Target, response: httpx2.Response) -> None:
        """Counting has a rate limit of its own, which says nothing of calls."""
        asked = retry_after_seconds(response.headers.get("retry-after"))
        again_at = time.monotonic() + (COUNT_SECONDS if asked is None else asked)
        self._closed_until[_name(target)] = max(again_at, self._closed_until.get(_name(target), 0.0))


def _name(target: Target) -> tuple[str, str]:
    return target.base_url, target.route.model
