"""Following one task: its events as they come, resumable by stream id, until the task has ended."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
from redis.asyncio import Redis

from agentfleet_core.errors import NotFound
from agentfleet_core.keyspace.connect import reaching_redis
from agentfleet_core.queue.envelope import Event, TaskRecord
from agentfleet_core.queue.records import decode_event

BLOCK_MS = 1_000
"""After this long without an event the record is read: the stream may have gone with its task."""


async def follow_task(
    redis: Redis, key: str, task_id: str, after: str, read: Callable[[], Awaitable[TaskRecord | None]]
) -> AsyncIterator[Event]:
    """Raises `NotFound` for a task that is not there, `Unavailable` when Redis cannot be reached."""
    block_ms = None
    while True:
        with reaching_redis():
            reply: Any = await redis.xread({key: after}, count=500, block=block_ms)
        block_ms = BLOCK_MS
        for stream_id, fields in reply[0][1] if reply else ():
            after = stream_id.decode()
            event = decode_event(task_id, stream_id, [part for pair in fields.items() for part in pair])
            yield event
            if event.type == "ended":
                return
        if not reply:
            record = await read()
            if record is None:
                raise NotFound("task", task_id)
            if record.state.ended:
                yield Event(task_id, record.attempt, "ended", orjson.dumps({"state": record.state}), after)
                return
