"""All writes to the API server, but the Lease's. Each answer is fed back into the state, so that what was
just written is known before its watch event comes.

Waking a pool goes before everything else: statuses, events and finalizers wait until no such write is under
way.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from agentfleet_core.errors import AgentfleetError
from agentfleet_core.telemetry import metrics
from agentfleet_operator import paths
from agentfleet_operator.kube import Json, KubeApi
from agentfleet_operator.state import ClusterState
from agentfleet_operator.views import DELETION_COST, DRAIN_FINALIZER, DeploymentView, ResourceView

BACKGROUND_CALLS = 4
LOWEST_COST = "-1000"
"""Pods that cost least are removed first; 0 is every other pod's cost."""


class Gate:
    """Lets background writes through only while no urgent one is under way."""

    def __init__(self) -> None:
        self._urgent = 0
        self._calm = asyncio.Event()
        self._calm.set()
        self._background = asyncio.Semaphore(BACKGROUND_CALLS)

    @asynccontextmanager
    async def urgent(self) -> AsyncIterator[None]:
        self._urgent += 1
        self._calm.clear()
        try:
            yield
        finally:
            self._urgent -= 1
            if not self._urgent:
                self._calm.set()

    @asynccontextmanager
    async def background(self) -> AsyncIterator[None]:
        async with self._background:
            await self._calm.wait()
            yield


class Writer:
    """Raises the house's errors: `Conflict`, `NotFound`, `InvalidInput` where refused, `Unavailable`."""

    def __init__(self, api: KubeApi, state: ClusterState) -> None:
        self._api = api
        self._state = state
        self.gate = Gate()

    async def apply_deployment(self, body: Json) -> None:
        metadata = body["metadata"]
        path = paths.one("Deployment", metadata["namespace"], metadata["name"])
        async with _counted("Deployment"):
            self._state.take("Deployment", await self._api.apply(path, body))

    async def scale(self, namespace: str, view: DeploymentView, replicas: int) -> None:
        """Only the number: an old revision's template is not known any more, and this is the faster write."""
        path = paths.one("Deployment", namespace, view.name)
        async with _counted("Deployment"):
            body = {"metadata": {"uid": view.uid}, "spec": {"replicas": replicas}}
            self._state.take("Deployment", await self._api.merge(path, body))

    async def delete_deployment(self, namespace: str, view: DeploymentView) -> None:
        async with _counted("Deployment"):
            await self._api.delete(paths.one("Deployment", namespace, view.name), view.uid)

    async def cheapen(self, namespace: str, pod: str) -> None:
        """Let the ReplicaSet remove this pod first."""
        async with _counted("Pod"):
            body = {"metadata": {"annotations": {DELETION_COST: LOWEST_COST}}}
            self._state.take("Pod", await self._api.merge(paths.one("Pod", namespace, pod), body))

    async def guard(self, view: ResourceView, *, on: bool) -> None:
        """Set or lift the finalizer that lets a deleted pool drain; those of others stay as they are."""
        finalizers = [one for one in view.finalizers if one != DRAIN_FINALIZER]
        if on:
            finalizers.append(DRAIN_FINALIZER)
        metadata = {"uid": view.uid, "resourceVersion": str(view.version), "finalizers": finalizers}
        async with _counted(view.kind):
            path = paths.one(view.kind, view.namespace, view.name)
            answer = await self._api.merge(path, {"metadata": metadata})
            gone = answer["metadata"].get("deletionTimestamp") and not answer["metadata"].get("finalizers")
            self._state.take(view.kind, answer, deleted=bool(gone))

    async def status(self, view: ResourceView, patch: Mapping[str, Any]) -> None:
        body = {"metadata": {"uid": view.uid}, "status": dict(patch)}
        async with self.gate.background(), _counted(view.kind):
            path = paths.status_of(view.kind, view.namespace, view.name)
            self._state.take(view.kind, await self._api.merge(path, body))

    async def event(self, namespace: str, body: Json) -> None:
        async with self.gate.background(), _counted("Event"):
            await self._api.create(paths.collection("Event", namespace), body)


async def together(calls: Sequence[Awaitable[None]]) -> None:
    """All of them, then the first failure if there was one."""
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


@asynccontextmanager
async def _counted(kind: str) -> AsyncIterator[None]:
    try:
        yield
    except AgentfleetError:
        metrics.API_WRITES.labels(kind, "failed").inc()
        raise
    metrics.API_WRITES.labels(kind, "done").inc()
