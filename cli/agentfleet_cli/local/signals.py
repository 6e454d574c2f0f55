"""SIGINT, SIGTERM and SIGHUP cancel the work, once, so that whatever ends a command, it stops in order."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any, Final

STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Run it; True when a signal ended it. Later signals change nothing, so that the stop itself is whole."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            task.cancel()

    for number in STOPPING:
        loop.add_signal_handler(number, stop)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await task
    finally:
        for number in STOPPING:
            loop.remove_signal_handler(number)
    return stopped
