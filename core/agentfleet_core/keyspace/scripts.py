"""The one Lua loader: a script is a `.lua` file beside its adapter, run by its hash.

`--@include name` as a line of its own puts the file `name.lua` of the same package there, once. Scripts must
be safe to send twice: a call whose answer was lost is sent again.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from agentfleet_core.keyspace.connect import FleetRedis, is_out_of_reach, reaching_redis
from agentfleet_core.keyspace.wire import Command

Arg = bytes | str | int | float
_INCLUDE = re.compile(r"^--@include (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One operation in Lua. `sha` is what Redis knows it by."""

    name: str
    source: str
    sha: str

    def call(self, keys: Sequence[str], args: Sequence[Arg] = ()) -> "Call":
        return Call(self, tuple(keys), tuple(args))

    async def run(self, redis: Redis, keys: Sequence[str], args: Sequence[Arg] = ()) -> Any:
        """Raises `Unavailable`, or `ResponseError` for what the script itself refuses."""
        return (await run_all(redis, (Call(self, tuple(keys), tuple(args)),)))[0]


@dataclass(frozen=True, slots=True)
class Call:
    """A script with its arguments, to be sent with others in one write."""

    script: Script
    keys: tuple[str, ...]
    args: tuple[Arg, ...]


@cache
def load_script(package: str, name: str) -> Script:
    """`load_script(__package__, "claim")`, or `"lua/claim"` for a file in a folder beside the module."""
    folder, _, stem = name.rpartition("/")
    root = files(package).joinpath(folder) if folder else files(package)
    included: set[str] = set()

    def text(stem: str) -> str:
        return _INCLUDE.sub(include, root.joinpath(f"{stem}.lua").read_text("utf-8"))

    def include(match: re.Match[str]) -> str:
        if match[1] in included:
            return ""
        included.add(match[1])
        return text(match[1])

    source = text(stem)
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


async def run_all(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    """Run several in one round trip, in order. The first error of a call is raised when all have run."""
    replies = await run_each(redis, calls)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


async def run_each(redis: Redis, calls: Sequence[Call]) -> list[Any]:
    """As `run_all`, with what a script itself refuses in its place among the replies, not raised."""
    with reaching_redis():
        replies = await _exchange(redis, [_command(call, "EVALSHA", call.script.sha) for call in calls])
        unknown = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            again = [_command(calls[index], "EVAL", calls[index].script.source) for index in unknown]
            for index, reply in zip(unknown, await _exchange(redis, again), strict=True):
                replies[index] = reply
        for reply in replies:
            if isinstance(reply, Exception) and is_out_of_reach(reply):
                raise reply
    return replies


def _command(call: Call, name: str, code: str) -> Command:
    return (name, code, len(call.keys), *call.keys, *call.args)


async def _exchange(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    wire = redis.wire() if isinstance(redis, FleetRedis) else None
    if wire is not None:
        return await wire.exchange(commands)
    pipeline = redis.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return list(await pipeline.execute(raise_on_error=False))
