"""How fast a tier takes calls: after a 429 or an overload everybody in this worker waits, not only who was
told.
"""

import asyncio
import time

from agentfleet_core.errors import ProviderError


class Pacer:
    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}

    def pause(self, tier: str, seconds: float) -> None:
        """No call of the tier leaves before then."""
        self._free_at[tier] = max(self._free_at.get(tier, 0.0), time.monotonic() + seconds)

    async def wait(self, tier: str, until: float) -> None:
        """Raises `ProviderError` at once when the tier is free again only after `until` (monotonic)."""
        while (free_at := self._free_at.get(tier, 0.0)) > time.monotonic():
            seconds = free_at - time.monotonic()
            if free_at > until:
                raise ProviderError(
                    f"tier {tier} takes no calls for another {seconds:.1f} s",
                    status=429,
                    kind="rate_limit_error",
                    retry_after_seconds=seconds,
                )
            await asyncio.sleep(seconds)
