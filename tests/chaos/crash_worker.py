"""A fork server whose workers may die at the worst moment: a response is there, its journal entry is not.

CRASH_AT_JOURNAL says before how many'th paid entry the worker kills itself; 0 or unset: it does not.
"""

import os
import signal
from collections.abc import Sequence

from agentfleet_core.queue.batching import GroupCommit
from agentfleet_core.queue.envelope import Event, JournalEntry
from agentfleet_core.queue.step import StepKind, decode_step
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_worker import forkserver
from agentfleet_worker.main import Worker


class CrashingCommit(GroupCommit):
    def __init__(self, queue: PoolQueue, entries: int) -> None:
        super().__init__(queue)
        self._entries = entries

    async def journal(self, entry: JournalEntry, events: Sequence[Event] = ()) -> bool:
        if decode_step(entry.value).kind is StepKind.LLM:
            self._entries -= 1
            if self._entries == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return await super().journal(entry, events)


class CrashingWorker(Worker):
    def commit(self, queue: PoolQueue) -> GroupCommit:
        entries = int(os.environ.get("CRASH_AT_JOURNAL", "0"))
        return CrashingCommit(queue, entries) if entries else super().commit(queue)


if __name__ == "__main__":
    forkserver.main(CrashingWorker)
