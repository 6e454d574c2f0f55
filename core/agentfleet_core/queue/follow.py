"""Following tasks: their events as they come, resumable by number, until the task has ended.

Events are kept with the task; pub/sub only says that there are new ones.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson

from agentfleet_core.errors import NotFound
from agentfleet_core.keyspace.channels import Channels
from agentfleet_core.queue.envelope import Event, TaskState
from agentfleet_core.queue.records import decode_event

LOOK_SECONDS = 2.0
"""A follower looks again after this long without a wake; a task unknown to pub/sub is late by no more."""
EVENTS_PER_READ = 100

Read = Callable[[str], Awaitable[Any]]
"""From the number to start after to what watch.lua replies."""


async def follow_task(
    channels: Channels, channel: str, task_id: str, after: str, read: Read
) -> AsyncIterator[Event]:
    """Events after the number `after`. Raises `NotFound` for an unknown task, `Unavailable` without Redis."""
    number = int(after) if after.isdigit() else 0
    async with channels.listen(channel) as bell:
        await bell.after(0, LOOK_SECONDS)
        while True:
            rings = bell.rings
            reply = await read(str(number))
            if reply is None:
                raise NotFound("task", task_id)
            state, first, kept = TaskState(reply[0].decode()), reply[1], reply[2]
            for number, data in enumerate(kept, first):  # it goes on from the last one read
                if data is not None:
                    event = decode_event(task_id, number, data)
                    yield event
                    if event.type == "ended":
                        return
            if not kept and state.ended:
                yield Event(task_id, 0, "ended", orjson.dumps({"state": state}), str(number))
                return
            if len(kept) < EVENTS_PER_READ:
                await bell.after(rings, LOOK_SECONDS)
