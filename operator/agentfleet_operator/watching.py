"""kopf, run in a thread and a loop of its own: when it stops it cancels every task of its loop, which must
not be ours.

Events cross to the main loop one by one, in their order. A kopf that fails is started again, so that neither
a standby's cache nor a leader's term is lost to a hiccup of the API server.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import kopf

from agentfleet_operator.handlers import Sink, kopf_settings, registry_for

log = logging.getLogger(__name__)

RESTART_SECONDS = 2.0
STOP_SECONDS = 8.0


class Watching:
    """`start()` and `stop()` on the main loop; `sink` is called there too."""

    def __init__(self, sink: Sink, namespaces: Sequence[str]) -> None:
        self._sink = sink
        self._namespaces = tuple(namespaces)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        self._stopping.set()
        await asyncio.to_thread(self._thread.join, STOP_SECONDS)

    @property
    def problem(self) -> str:
        """What is wrong for the liveness probe; empty when nothing is."""
        return "" if self._thread.is_alive() else "the watches have ended"

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                asyncio.run(self._watch())
            except Exception:
                # The edge of the thread: whatever ended kopf, watching goes on.
                log.exception("the watches failed and start again")
            self._stopping.wait(RESTART_SECONDS)

    async def _watch(self) -> None:
        await kopf.operator(
            registry=registry_for(self._pass_on),
            settings=kopf_settings(scanning=not self._namespaces),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=self._stopping,
        )

    def _pass_on(self, kind: str, body: Mapping[str, Any], deleted: bool, listed: bool) -> None:
        if self._loop is not None and not self._stopping.is_set():
            self._loop.call_soon_threadsafe(self._sink, kind, dict(body), deleted, listed)
