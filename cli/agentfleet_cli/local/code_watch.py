"""Tells which file of the user's own code has changed: a worker imports it once, and never looks again."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

LOOK_SECONDS: Final = 1.0
REST_PER_LOOK: Final = 20.0
"""Times a look's own length between two of them, so that a huge folder costs no more than a small one."""
INSTALLED: Final = "pyvenv.cfg"
"""Marks a virtual environment: others' code, and thousands of files."""

Stamps = dict[Path, tuple[int, int]]
"""File to modification time and size."""


async def watch_code(folder: Path, changed: Callable[[Path], Awaitable[None]]) -> None:
    """After each change, call `changed` with the first of the files that are new, edited or gone, relative to
    the folder; until cancelled.
    """
    clock = asyncio.get_running_loop().time
    began, before = clock(), await asyncio.to_thread(code_stamps, folder)
    while True:
        await asyncio.sleep(max(LOOK_SECONDS, REST_PER_LOOK * (clock() - began)))
        began, now_is = clock(), await asyncio.to_thread(code_stamps, folder)
        differing = {path for path, _ in before.items() ^ now_is.items()}
        before = now_is
        if differing:
            await changed(min(differing).relative_to(folder))


def code_stamps(folder: Path) -> Stamps:
    """Of the Python files in the folder and below, hidden folders and virtual environments left out."""
    found: Stamps = {}
    for place, folders, names in os.walk(folder):
        if INSTALLED in names:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
        for name in names:
            if name.endswith(".py"):
                path = Path(place, name)
                try:
                    state = path.stat()
                except FileNotFoundError:  # an editor replaces a file in two steps
                    continue
                found[path] = (state.st_mtime_ns, state.st_size)
    return found
