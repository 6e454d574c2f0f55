"""When a model takes calls again: after a 429 or an overload everybody in this worker waits, not only who was
told.
"""

import asyncio
import time


class Health:
    def __init__(self) -> None:
        self._free_at: dict[tuple[str, str], float] = {}

    def pause(self, tier: str, model: str, seconds: float) -> None:
        """No call of the tier to this model leaves before then."""
        name = (tier, model)
        self._free_at[name] = max(self._free_at.get(name, 0.0), time.monotonic() + seconds)

    async def wait(self, tier: str, model: str, until: float) -> float:
        """0 once the model is free; at once the seconds until then, when that is after `until`
        (monotonic).
        """
        while (seconds := self._free_at.get((tier, model), 0.0) - time.monotonic()) > 0:
            if time.monotonic() + seconds > until:
                return seconds
            await asyncio.sleep(seconds)
        return 0.0
