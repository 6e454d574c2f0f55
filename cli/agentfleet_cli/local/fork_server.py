"""The worker's fork server as local mode speaks to it: JSON lines both ways, one process per worker."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from agentfleet_cli.local import children
from agentfleet_core.errors import Unavailable

START_SECONDS = 60.0
Listener = Callable[[str, str, Mapping[str, Any]], None]
"""Called with the event's word, the worker's id and the whole event."""


class ForkServer:
    """Imports everything once; each worker is a fork of it and costs milliseconds."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, listener: Listener) -> None:
        self._process = process
        self._log = log
        self._listener = listener
        self._ready = asyncio.Event()
        self._workers: dict[str, int] = {}
        self._reader = asyncio.create_task(self._read(), name="fork-server")

    @classmethod
    async def start(cls, environment: Mapping[str, str], log: Path, listener: Listener) -> "ForkServer":
        """Returns at once; `ready` waits until it has imported everything."""
        children.adopt_orphans()
        command = [sys.executable, "-m", "agentfleet_worker.forkserver"]
        return cls(await children.start(command, environment, log, pipes=True), log, listener)

    async def ready(self) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._ready.wait()
        except TimeoutError as error:
            raise Unavailable(
                f"the workers' fork server did not start: {children.tail(self._log)}"
            ) from error
        children.raise_ended("workers' fork server", self._process, self._log)

    async def spawn(self, worker: str, environment: Mapping[str, str]) -> None:
        await self._send({"op": "spawn", "id": worker, "env": dict(environment)})

    async def stop(self, worker: str) -> None:
        """SIGTERM: the worker drains, then ends."""
        await self._send({"op": "stop", "id": worker})

    async def kill(self, worker: str) -> None:
        await self._send({"op": "kill", "id": worker})

    async def ended(self) -> int:
        """Returns when the fork server itself has ended, with its exit code."""
        return await self._process.wait()

    async def close(self) -> None:
        """Its stdin ends, so it stops all workers and then itself; while it still imports it has none."""
        if not self._ready.is_set():
            await children.stop(self._process)
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(children.STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await children.stop(self._process, seconds=2.0)
            await children.reap(self._workers.values())  # they are killed with it
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    def _note(self, word: str, worker: str, event: Mapping[str, Any]) -> None:
        if word == "started":
            self._workers[worker] = int(event["pid"])
        elif word == "exited":
            del self._workers[worker]
        self._listener(word, worker, event)

    async def _send(self, message: Mapping[str, Any]) -> None:
        children.raise_ended("workers' fork server", self._process, self._log)
        if self._process.stdin is None:
            raise Unavailable("the workers' fork server has no input")
        try:
            self._process.stdin.write(orjson.dumps(message) + b"\n")
            await self._process.stdin.drain()
        except OSError as error:
            raise Unavailable(f"the workers' fork server has gone: {children.tail(self._log)}") from error

    async def _read(self) -> None:
        if self._process.stdout is None:
            raise Unavailable("the workers' fork server has no output")
        while line := await self._process.stdout.readline():
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError:
                # A library that prints on import is none of ours.
                continue
            if event.get("event") == "ready":
                self._ready.set()
            elif "id" in event:
                self._note(str(event["event"]), str(event["id"]), event)
        self._ready.set()
