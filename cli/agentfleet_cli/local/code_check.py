"""Says which functions of the manifests no worker could load: at a local fleet's start, after each change."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import orjson

from agentfleet_cli.local import children
from agentfleet_core.api.v1alpha1.task_type import TaskTypeSpec
from agentfleet_core.fleet.code import functions_of, tools_of

CHECK_SECONDS: Final = 20.0
"""Code that takes longer to import is left for its first task to judge."""


def named_code(types: Iterable[TaskTypeSpec]) -> dict[str, list[str]]:
    """`module:function`s: handlers and steps as functions, agents' as tools."""
    found = list(types)
    return {
        "functions": sorted({path for spec in found for path in functions_of(spec)}),
        "tools": sorted({path for spec in found for path in tools_of(spec)}),
    }


async def check_code(
    types: Iterable[TaskTypeSpec], environment: Mapping[str, str], log: Path, say: Callable[[str], None]
) -> None:
    """`say` gets a sentence for each that is missing. The fleet goes on: other types may be whole."""
    command = [sys.executable, "-m", "agentfleet_worker.check_code"]
    process = await children.start(command, environment, log, pipes=True)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            answer, _ = await process.communicate(orjson.dumps(named_code(types)))
    except TimeoutError:
        return
    finally:
        await children.stop(process)
    if process.returncode == 0:
        for sentence in orjson.loads(answer):
            say(f"code is missing: {sentence}")
