"""The holds that this worker's calls have open, for the lease thread to renew."""

from agentfleet_core.budget.limits import Hold
from agentfleet_core.telemetry import metrics


class OpenHolds:
    """Changed by the event loop, read by the lease thread: each operation is one, under the interpreter's
    lock.
    """

    def __init__(self) -> None:
        self._open: dict[str, Hold] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, hold: Hold) -> None:
        self._open[hold.id] = hold
        metrics.HOLDS.set(len(self._open))

    def remove(self, hold: Hold) -> None:
        self._open.pop(hold.id, None)
        metrics.HOLDS.set(len(self._open))

    def all(self) -> list[Hold]:
        return list(self._open.copy().values())
