"""How a pool goes: guarded while it has workers, drained once it is deleted, swept when it is gone."""

from datetime import datetime

from agentfleet_core.autoscaler.ports import CounterSource
from agentfleet_core.errors import Unavailable
from agentfleet_operator.apply import Writer, together
from agentfleet_operator.draining import DeletedPool, drain_step
from agentfleet_operator.observe import workers_of
from agentfleet_operator.pools.memory import LOOK_AGAIN_SECONDS, KnownPools
from agentfleet_operator.views import DRAIN_FINALIZER, ResourceView


class Leaving:
    def __init__(self, known: KnownPools, writer: Writer, source: CounterSource) -> None:
        self._known = known
        self._writer = writer
        self._source = source

    async def keep_guarded(self, pool: str) -> None:
        """A pool that has workers must drain before it may go. No plan waits for this write."""
        view = self._known.state.pool(pool)
        if view is None or view.deleting_since is not None or not self._known.memory(pool).wanted:
            return
        if DRAIN_FINALIZER not in view.finalizers:
            async with self._writer.gate.background():
                await self._writer.guard(self._known.state.pool(pool) or view, on=True)

    async def drain(self, view: ResourceView, since: datetime) -> None:
        """One step of a deleted pool."""
        if DRAIN_FINALIZER not in view.finalizers:
            return
        known, live = self._known, list(self._known.deployments(view.name))
        try:
            records = await self._source.workers([view.name])
            workers = workers_of(known.pods(view.name), records[0])
        except Unavailable:
            workers = None
        step = drain_step(DeletedPool(known.clock(), since, _grace_seconds(view), len(live), workers))
        known.memory(view.name).draining = step.text
        if step.drain:
            await self._source.drain(view.name, step.drain)
        if step.remove_deployments:
            await together([self._writer.delete_deployment(known.namespace, one) for one in live])
        if step.release:
            await self._writer.guard(view, on=False)
        known.look_again(view.name, LOOK_AGAIN_SECONDS)

    async def sweep(self, pool: str) -> None:
        """Deployments whose pool is gone: the garbage collector's work, done also where it was told to
        orphan.
        """
        for one in list(self._known.deployments(pool)):
            if not one.deleting:
                await self._writer.delete_deployment(self._known.namespace, one)
        self._known.memories.pop(pool, None)


def _grace_seconds(view: ResourceView) -> float:
    spec = getattr(view.resource, "spec", None)
    return float(getattr(spec, "termination_grace_period_seconds", 60))
