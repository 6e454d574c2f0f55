"""Counts a peer's starts in a shared file: how many, the first, the last. Runs in the peer's environment."""

import mmap
import os
import threading
import time
from pathlib import Path

SLOTS = 4096
SIZE = SLOTS * 24


def opened(path: str) -> "tuple[memoryview, memoryview, memoryview]":
    """A slot per process: starts, first start, last start."""
    file = Path(path)
    if not file.exists():
        file.write_bytes(bytes(SIZE))
    with file.open("r+b") as kept:
        view = memoryview(mmap.mmap(kept.fileno(), SIZE))
    return (
        view[: SLOTS * 8].cast("q"),
        view[SLOTS * 8 : SLOTS * 16].cast("d"),
        view[SLOTS * 16 :].cast("d"),
    )


if "BENCH_RECORD" in os.environ:
    _counts, _first, _last = opened(os.environ["BENCH_RECORD"])
_lock = threading.Lock()


def hit() -> None:
    now, slot = time.time(), os.getpid() % SLOTS
    with _lock:
        _counts[slot] += 1
    if _first[slot] == 0.0:
        _first[slot] = now
    _last[slot] = now
