"""At most one carrying out at a time for each pool, again with the newest plan when one came meanwhile.

What fails is logged and tried again, backed off with jitter, for as long as the pool wants it.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from agentfleet_core.resilience.backoff import doubled_seconds

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 0.25
LAST_RETRY_SECONDS = 30.0


class Carriers:
    """`carry_out(pool)` does the newest plan; `again(pool)` asks for a new plan after a failure."""

    def __init__(self, carry_out: Callable[[str], Awaitable[None]], again: Callable[[str], None]) -> None:
        self._carry_out = carry_out
        self._again = again
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._more: set[str] = set()

    def start(self, pool: str) -> None:
        if pool in self._tasks:
            self._more.add(pool)
        else:
            self._tasks[pool] = asyncio.create_task(self._run(pool), name=f"carry-out-{pool}")

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, pool: str) -> None:
        failures = 0
        try:
            while True:
                self._more.discard(pool)
                try:
                    await self._carry_out(pool)
                    failures = 0
                except Exception as error:  # noqa: BLE001 - the edge of one pool, see below
                    # The edge of one pool: what an API client raises is its own affair, and is tried again.
                    failures += 1
                    log.warning("a plan could not be carried out", extra={"pool": pool, "error": str(error)})
                    longest = doubled_seconds(
                        failures, base_seconds=FIRST_RETRY_SECONDS, cap_seconds=LAST_RETRY_SECONDS
                    )
                    await asyncio.sleep(longest * random.uniform(0.5, 1.0))
                    self._again(pool)
                if pool not in self._more and not failures:
                    return
        finally:
            del self._tasks[pool]
