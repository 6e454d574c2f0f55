"""Tells the pool which of users' functions this worker's image lacks, so that the pool's condition says it.

A stream of tasks that all fail alike writes once a minute. A report that does not get through is not missed:
the next task makes another.
"""

import logging
import time
from collections.abc import Callable
from typing import Protocol

from agentfleet_core.errors import AgentfleetError
from agentfleet_worker.attempt.background import Background

log = logging.getLogger(__name__)

AGAIN_SECONDS = 60.0


class Reports(Protocol):
    async def report(self, revision: str, path: str, why: str) -> bool: ...


class CodeReports:
    def __init__(
        self,
        queue: Reports,
        revision: str,
        background: Background,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._background = background
        self._revision = revision
        self._monotonic = monotonic
        self._told: dict[str, tuple[str, float]] = {}

    def tell(self, path: str, why: str) -> None:
        """`why` it cannot be loaded; empty: it is loaded."""
        before, at = self._told.get(path, (None, 0.0))
        now = self._monotonic()
        if why == before and now - at < AGAIN_SECONDS:
            return
        self._told[path] = (why, now)
        self._background.start(self._send(path, why))

    async def _send(self, path: str, why: str) -> None:
        try:
            await self._queue.report(self._revision, path, why)
        except AgentfleetError as error:
            self._told.pop(path, None)
            log.warning("what the image lacks could not be reported: %s", error)
