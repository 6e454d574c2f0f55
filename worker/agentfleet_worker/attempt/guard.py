"""Keeps users' code from ending the worker: a SystemExit or KeyboardInterrupt becomes its task's failure.

asyncio lets these two out of its loop from whatever task raised them, and with the loop go all the tasks of
the worker. So each asyncio task that an attempt starts is guarded; nobody else's is.
"""

from collections.abc import Coroutine
from types import TracebackType
from typing import Any

from agentfleet_core.errors import HandlerFailed
from agentfleet_worker.attempt.words import text_of

ENDS_PROCESS = (SystemExit, KeyboardInterrupt)


class Guarded(Coroutine[Any, Any, Any]):
    """A coroutine that ends with `HandlerFailed` where the one inside raised what would end the process.

    Not a coroutine function: one of those, cancelled before it began, would leave the inner one unawaited.
    """

    __slots__ = ("__name__", "__qualname__", "_inner")

    def __init__(self, inner: Coroutine[Any, Any, Any]) -> None:
        self._inner = inner
        self.__name__ = getattr(inner, "__name__", type(inner).__name__)
        self.__qualname__ = getattr(inner, "__qualname__", self.__name__)

    def send(self, value: Any) -> Any:
        try:
            return self._inner.send(value)
        except ENDS_PROCESS as error:
            raise made_harmless(error) from error

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None) -> Any:
        try:
            return self._inner.throw(kind if value is None else value)
        except ENDS_PROCESS as error:
            raise made_harmless(error) from error

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Any:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> Any:
        """`cr_frame` and the like, for whoever prints a task's stack."""
        return getattr(self._inner, name)


def made_harmless(error: BaseException) -> BaseException:
    """The error itself, or what stands for one that would end the process."""
    if not isinstance(error, ENDS_PROCESS):
        return error
    said = text_of(error)
    what = f"{type(error).__name__}({said})" if said else type(error).__name__
    failed = HandlerFailed(f"{what} was raised; it cannot end a worker: return, or raise HandlerFailed")
    failed.__cause__ = error
    return failed
