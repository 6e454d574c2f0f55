"""Child processes that cannot outlive us: a session of their own, and a signal from the kernel when we die.

Ctrl-C in a terminal reaches a whole process group; the children are in none of ours, so that we stop them in
order. Linux only, as the kernel's word on a parent's death is (other systems rely on the orderly stop).
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agentfleet_core.errors import Unavailable

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STOP_SECONDS = 10.0
PROVIDER_PREFIX = "ANTHROPIC_"
"""Of variables that no child gets: workers find the provider's key where a cluster has it, in a file."""


def die_with_parent() -> None:
    """Runs in the child between fork and exec: SIGTERM when the parent has gone, even by kill -9."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def adopt_orphans() -> None:
    """The children of a child that is killed become ours, for `reap`; else init's, if there is one."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)


async def reap(pids: Iterable[int]) -> None:
    """Returns when these orphans, whom a signal has met, are gone."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):  # its own parent has waited for it, or init does
            await asyncio.to_thread(os.waitpid, pid, 0)


async def start(
    command: Sequence[str], environment: Mapping[str, str], log: Path, *, pipes: bool = False
) -> asyncio.subprocess.Process:
    """`log` takes its stderr, and its stdout unless `pipes` gives us its stdin and stdout."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(PROVIDER_PREFIX)}
    with log.open("ab") as sink:
        return await asyncio.create_subprocess_exec(
            *command,
            env={**ours, **environment},
            stdin=asyncio.subprocess.PIPE if pipes else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if pipes else sink,
            stderr=sink,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


async def stop(process: asyncio.subprocess.Process, *, seconds: float = STOP_SECONDS) -> None:
    """SIGTERM, then SIGKILL when it has not ended in time."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def raise_ended(name: str, process: asyncio.subprocess.Process, log: Path) -> None:
    """Raises `Unavailable` with the end of its log if it is no longer running."""
    if process.returncode is not None:
        raise Unavailable(f"the {name} ended with code {process.returncode}: {tail(log)}")


def tail(log: Path, lines: int = 12) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
