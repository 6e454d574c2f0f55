"""Lists everything once more: at the start, after watches began anew, and now and then.

kopf reports no deletion that happened while a watch was broken; only a list can tell that an object is gone.
"""

import asyncio
import logging
from collections.abc import Sequence

from agentfleet_core.errors import AgentfleetError
from agentfleet_operator.kube import KubeApi
from agentfleet_operator.paths import ROOTS, collection
from agentfleet_operator.state import ClusterState
from agentfleet_operator.views import POOL_LABEL

log = logging.getLogger(__name__)

SETTLE_SECONDS = 2.0
"""How long a burst of listed events is waited out before one list answers them all."""
PERIOD_SECONDS = 600.0
RETRY_SECONDS = 1.0
LABELS = {"Deployment": POOL_LABEL, "Pod": POOL_LABEL}


class Resync:
    """`run()` beside everything else; `synced` is set once all was seen for the first time."""

    def __init__(self, api: KubeApi, state: ClusterState, namespaces: Sequence[str]) -> None:
        self._api = api
        self._state = state
        self._namespaces = tuple(namespaces) or ("",)
        self._asked = asyncio.Event()
        self.synced = asyncio.Event()

    def ask(self) -> None:
        """Something was listed anew: deletions may have gone unseen."""
        if self.synced.is_set():
            self._asked.set()

    async def run(self) -> None:
        while True:
            await self.surely()
            self.synced.set()
            try:
                async with asyncio.timeout(PERIOD_SECONDS):
                    await self._asked.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(SETTLE_SECONDS)
            self._asked.clear()

    async def surely(self) -> None:
        """List everything, again until it succeeds."""
        while True:
            try:
                await self._list_all()
                return
            except AgentfleetError as error:
                log.warning("the API server's objects cannot be listed: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _list_all(self) -> None:
        for namespace in self._namespaces:
            for kind in ROOTS:
                if kind != "Event":
                    await self._list(kind, namespace)

    async def _list(self, kind: str, namespace: str) -> None:
        bodies, version = await self._api.listing(
            collection(kind, namespace),
            label_selector=LABELS.get(kind, ""),
            metadata_only=kind == "Secret",
        )
        self._state.replace(kind, bodies, version, namespace)
