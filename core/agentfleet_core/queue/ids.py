"""Task ids: `<pool>.<ULID>`, so that an id names its pool and says when it was minted.

When it was minted matters: an id is admitted only in its first day, while the record of its first admission
is certainly still there. So no id is ever admitted twice, and nothing is kept to know that.
"""

import os
import re
import time

from agentfleet_core.errors import InvalidInput

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_TASK_ID = re.compile(r"([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\.([0-7][0-9a-hjkmnp-tv-z]{25})")
_OLDEST_MS = 1_577_836_800_000  # 2020: an id from before was not minted here
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)


def new_task_id(pool: str) -> str:
    """Unique without asking anybody; ids of one pool sort by the millisecond of their minting."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{pool}.{ulid(milliseconds, os.urandom(10))}"


def ulid(milliseconds: int, random: bytes) -> str:
    """26 characters from a time and 10 random bytes."""
    number = (milliseconds << 80) | int.from_bytes(random, "big")
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])


def pool_of(task_id: str) -> str:
    """Raises `InvalidInput` for what is no task id."""
    return _parse(task_id)[1]


def minted_ms(task_id: str) -> int:
    """When the id was made, milliseconds since the epoch. Raises `InvalidInput` for what is no task id."""
    letters = _parse(task_id)[2]
    value = 0
    for letter in letters[:10]:
        value = value << 5 | _VALUES[letter]
    if value < _OLDEST_MS:
        raise InvalidInput(f"{task_id} was never minted: make ids with new_task_id", field="id")
    return value


def _parse(task_id: str) -> re.Match[str]:
    match = _TASK_ID.fullmatch(task_id)
    if match is None:
        raise InvalidInput(
            f"{task_id!r} is no task id; one looks like <pool>.<26 ULID characters>", field="id"
        )
    return match
