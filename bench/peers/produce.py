"""Fills a peer's queue: `produce.py <module> <tasks>`. Runs in the peer's own environment."""

import asyncio
import importlib
import sys

CHUNK = 100


async def fill(peer, tasks):
    await peer.setup()
    for start in range(0, tasks, CHUNK):
        await peer.send_many(range(start, min(tasks, start + CHUNK)))
    await peer.close()


if __name__ == "__main__":
    chosen = importlib.import_module(sys.argv[1])
    if getattr(chosen, "BLOCKING", False):
        chosen.send_many(range(int(sys.argv[2])))
    else:
        asyncio.run(fill(chosen, int(sys.argv[2])))
