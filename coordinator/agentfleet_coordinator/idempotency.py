"""A tenant's own slot: its idempotency records, and the index of its tasks that a list reads.

A submission is noted here first, with the id that its task will have, and enqueued by that id afterwards. The
second may be repeated, for the queue knows an id longer than a record lives: a crash between the two loses
nothing and doubles nothing, since whoever sends the key again enqueues the id that stands here.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from redis.asyncio import Redis

from agentfleet_core.errors import Conflict
from agentfleet_core.keyspace.connect import reaching_redis
from agentfleet_core.keyspace.keys import TenantKeys
from agentfleet_core.keyspace.scripts import Call, load_script
from agentfleet_core.queue.calls import RETENTION_SECONDS

RECORD_SECONDS = RETENTION_SECONDS * 5 // 6
"""How long a key means the same task: while the queue knows the id that stands here, or still admits it."""

RECORD = load_script(__package__, "lua/record")
PAGE = load_script(__package__, "lua/page")


@dataclass(frozen=True, slots=True)
class Note:
    """One submission as it is noted."""

    task_id: str
    key: str = ""
    """The idempotency key; empty without one."""
    body_digest: str = ""


@dataclass(frozen=True, slots=True)
class Noted:
    task_id: str
    """The id to enqueue by: the submission's own, or the one that the key has named before."""
    conflict: bool = False
    """The key came before with another body."""


def note(task_id: str, key: str | None, payload: Any) -> Note:
    """`payload` is the request's JSON; the order of its fields does not matter."""
    if key is None:
        return Note(task_id)
    canonical = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
    return Note(task_id, key, hashlib.blake2b(canonical, digest_size=16).hexdigest())


def record_call(keys: TenantKeys, notes: Sequence[Note]) -> Call:
    arguments: list[str | int] = [keys.idempotency_prefix, RECORD_SECONDS * 1000]
    for each in notes:
        arguments += (each.key, each.body_digest, each.task_id)
    return RECORD.call((keys.index,), arguments)


def recorded(notes: Sequence[Note], reply: Sequence[bytes]) -> list[Noted]:
    return [_noted(each, answer.decode()) for each, answer in zip(notes, reply, strict=True)]


def _noted(each: Note, answer: str) -> Noted:
    if answer.startswith("!"):
        return Noted(answer[1:], conflict=True)
    return Noted(answer or each.task_id)


def conflict(noted: Noted) -> Conflict:
    return Conflict(
        f"this idempotency key was used for task {noted.task_id} with another body; "
        "send the same body, or use a new key"
    )


async def recall(redis: Redis, keys: TenantKeys, each: Note) -> str | None:
    """The task that this very submission became before, if it did."""
    if not each.key:
        return None
    with reaching_redis():
        record: Any = await redis.get(keys.idempotency_prefix + each.key)
    if record is None or not record.startswith(each.body_digest.encode()):
        return None
    return str(record[len(each.body_digest) :].decode())
