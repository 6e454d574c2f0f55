"""When a model takes calls again: after a 429 or an overload the whole fleet waits, not only who was told.

This worker knows at once, the others as soon as they hear of it; no call asks Redis.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from agentfleet_core.errors import Unavailable
from agentfleet_worker.attempt.background import Background
from agentfleet_worker.attempt.ports import Follower

WORTH_TELLING_SECONDS = 0.5
"""A shorter wait is over before others have heard of it."""

Tell = Callable[[str, str, float], Awaitable[None]]
"""Tier, model, seconds: to the fleet. Raises `Unavailable`."""


class Health:
    def __init__(self, follower: Follower, tell: Tell, background: Background) -> None:
        self._follower = follower
        self._tell = tell
        self._background = background
        self._free_at: dict[tuple[str, str], float] = {}

    def pause(self, tier: str, model: str, seconds: float, *, asked_seconds: float | None = None) -> None:
        """No call of the tier to this model leaves before then.

        `asked_seconds`: what the provider itself asked for; that alone concerns other workers too.
        """
        name = (tier, model)
        self._free_at[name] = max(self._free_at.get(name, 0.0), time.monotonic() + seconds)
        if asked_seconds is not None and asked_seconds >= WORTH_TELLING_SECONDS:
            self._background.start(self._tell_fleet(tier, model, asked_seconds))

    async def wait(self, tier: str, model: str, until: float) -> float:
        """0 once the model is free; at once the seconds until then, when that is after `until`
        (monotonic).
        """
        while (seconds := self._seconds((tier, model))) > 0:
            if time.monotonic() + seconds > until:
                return seconds
            await asyncio.sleep(seconds)
        return 0.0

    def _seconds(self, name: tuple[str, str]) -> float:
        free_at = max(self._free_at.get(name, 0.0), self._follower.throttles.get(name, 0.0))
        return free_at - time.monotonic()

    async def _tell_fleet(self, tier: str, model: str, seconds: float) -> None:
        # Whoever does not hear of it is refused by the provider, and tells again.
        with contextlib.suppress(Unavailable):
            await self._tell(tier, model, seconds)
