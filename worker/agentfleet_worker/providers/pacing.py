"""How fast a tier takes calls: after a 429 or an overload everybody in this worker waits, not only who was
told.
"""

import asyncio
import time


class Pacer:
    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}

    def pause(self, tier: str, seconds: float) -> None:
        """No call of the tier leaves before then."""
        self._free_at[tier] = max(self._free_at.get(tier, 0.0), time.monotonic() + seconds)

    async def wait(self, tier: str, until: float) -> float:
        """0 once the tier is free; at once the seconds until then, when that is after `until`
        (monotonic).
        """
        while (seconds := self._free_at.get(tier, 0.0) - time.monotonic()) > 0:
            if time.monotonic() + seconds > until:
                return seconds
            await asyncio.sleep(seconds)
        return 0.0
