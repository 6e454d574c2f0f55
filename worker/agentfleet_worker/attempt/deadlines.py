"""Deadlines of everything that runs in one worker, checked together.

A timer for each task and each step would cost more than a short task itself, and be cancelled nearly
always; so what has a deadline stands in one set, and one timer walks it while the set is not empty. Precise
to TICK_SECONDS.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType

TICK_SECONDS = 0.05


class Deadline:
    """While it stands, `expired` is called once `at` (the loop's time) has come."""

    __slots__ = ("at", "expired")

    def __init__(self, at: float, expired: Callable[[], object]) -> None:
        self.at = at
        self.expired = expired


class Deadlines:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._standing: dict[Deadline, None] = {}
        self._ticking = False

    def add(self, at: float, expired: Callable[[], object]) -> Deadline:
        deadline = Deadline(at, expired)
        self._standing[deadline] = None
        if not self._ticking:
            self._ticking = True
            self.loop.call_later(TICK_SECONDS, self._tick)
        return deadline

    def remove(self, deadline: Deadline) -> None:
        self._standing.pop(deadline, None)

    def __len__(self) -> int:
        return len(self._standing)

    def _tick(self) -> None:
        now = self.loop.time()
        for deadline in [each for each in self._standing if each.at <= now]:
            if self._standing.pop(deadline, self) is None:
                deadline.expired()
        if self._standing:
            self.loop.call_later(TICK_SECONDS, self._tick)
        else:
            self._ticking = False


class within:  # noqa: N801 -- reads as a clause: `with within(deadlines, 3.0) as scope`
    """Cancels the running task inside its block when time is up, then `TimeoutError` leaves the block."""

    __slots__ = ("_cancelling", "_deadline", "_deadlines", "_expired", "_seconds", "_task")

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        self._deadlines = deadlines
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> "within":
        loop = self._deadlines.loop
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 -- only coroutines use it
        self._task = task
        self._cancelling = task.cancelling()
        self._deadline = self._deadlines.add(loop.time() + self._seconds, self._cancel)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.remove(self._deadline)
        if not self._expired:
            return
        if self._task.uncancel() <= self._cancelling and (kind is None or kind is asyncio.CancelledError):
            raise TimeoutError from error

    def _cancel(self) -> None:
        self._expired = True
        self._task.cancel()
