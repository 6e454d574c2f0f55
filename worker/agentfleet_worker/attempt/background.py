"""Work that must go on when its caller is cancelled: money to settle, a journal entry to write."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from agentfleet_worker.attempt.outcomes import AttemptLost

log = logging.getLogger(__name__)


class Background:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def finish(self, timeout_seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, AttemptLost):
            log.warning("settling a call failed; the sweep will charge it", extra={"error": repr(error)})
