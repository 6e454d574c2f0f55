"""What followers of a task see while it runs: text as it comes. Steps and ends are written with the
journal.

Text is collected for a moment, for all tasks of the worker: a follower needs it soon, not at once, and
nobody may be following. Losing some is harmless: it is what the step's result holds anyway.
"""

import asyncio
from collections.abc import Callable

import orjson

from agentfleet_core.queue.envelope import Event

FLUSH_SECONDS = 0.2


class Progress:
    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._text: dict[tuple[str, int, str], list[str]] = {}
        self._told: set[tuple[str, int, str]] = set()
        """Steps under way of which followers have read some text."""
        self._waits = False

    def text(self, task_id: str, attempt: int, step: str, text: str) -> None:
        self._text.setdefault((task_id, attempt, step), []).append(text)
        if not self._waits:
            self._waits = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        self._waits = False
        collected, self._text = self._text, {}
        for (task_id, attempt, step), parts in collected.items():
            self._told.add((task_id, attempt, step))
            self._tell(task_id, attempt, step, parts)

    def flush_step(self, task_id: str, attempt: int, step: str) -> None:
        """The step ends: its last text goes out before its own event."""
        self._told.discard((task_id, attempt, step))
        parts = self._text.pop((task_id, attempt, step), None)
        if parts:
            self._tell(task_id, attempt, step, parts)

    def retract_step(self, task_id: str, attempt: int, step: str) -> None:
        """The try was cut: what it has said belongs to no answer, and the next try begins anew."""
        self._text.pop((task_id, attempt, step), None)
        if (task_id, attempt, step) in self._told:
            self._told.discard((task_id, attempt, step))
            self._emit(Event(task_id, attempt, "reset", orjson.dumps({"step": step})))

    def _tell(self, task_id: str, attempt: int, step: str, parts: list[str]) -> None:
        self._emit(Event(task_id, attempt, "delta", orjson.dumps({"step": step, "text": "".join(parts)})))
