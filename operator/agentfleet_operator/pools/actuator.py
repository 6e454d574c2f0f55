"""The pools' workers as the autoscaler sees and moves them: observes, carries plans out, reconciles.

Only the leader has one of these. Reconciling a pool may be done again at any time: it looks at what is there
and does what is missing. One pool is worked on by one task at a time.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from agentfleet_core.autoscaler.ports import CounterSource, PoolObservation
from agentfleet_core.errors import InvalidInput, NotFound, Unavailable
from agentfleet_core.fleet.config import CompiledPool, FleetConfig
from agentfleet_core.planner.snapshot import PoolPlan, PoolSnapshot
from agentfleet_operator.apply import Writer, together
from agentfleet_operator.observe import is_rolling_out, observation, rollout_of, told_alike, workers_of
from agentfleet_operator.pools.leaving import Leaving
from agentfleet_operator.pools.memory import LOOK_AGAIN_SECONDS, KnownPools, PoolMemory
from agentfleet_operator.pools.template import mend_template
from agentfleet_operator.resources import deployment
from agentfleet_operator.rollout import Step, next_step
from agentfleet_operator.views import DeploymentView, ResourceView

log = logging.getLogger(__name__)

CONTEST_LOOK_SECONDS = 60.0


class Pools:
    """Implements `Actuator`. `changed(pool)` is called when `observe` or a status would say something new."""

    def __init__(
        self, known: KnownPools, writer: Writer, source: CounterSource, changed: Callable[[str], None]
    ) -> None:
        self._known = known
        self._writer = writer
        self._source = source
        self._changed = changed
        self._leaving = Leaving(known, writer, source)

    def follow(self, config: FleetConfig) -> None:
        self._known.follow(config)

    def memory(self, pool: str) -> PoolMemory:
        return self._known.memory(pool)

    # The autoscaler's side.

    def observe(self, pool: str) -> PoolObservation | None:
        known = self._known
        view, compiled = known.state.pool(pool), known.compiled(pool)
        if view is None or view.deleting_since is not None or compiled is None:
            return None
        deployments = known.deployments(pool)
        if not any(one.revision == compiled.revision for one in deployments):
            return None
        wanted = known.memory(pool).wanted
        return observation(deployments, known.pods(pool), compiled.revision, wanted, known.clock())

    async def apply(self, pool: str, compiled: CompiledPool, plan: PoolPlan) -> None:
        memory = self._known.memory(pool)
        async with memory.lock, self._writer.gate.urgent():
            if self._known.contested(pool):
                return
            current = self._known.compiled(pool) or compiled
            # In a rollout the workers that leave are counted by it, not by the plan.
            rolling = is_rolling_out(self._known.deployments(pool), current.revision)
            wanted = plan.wanted if rolling else plan.replicas
            await self._advance(pool, current, wanted, frozenset(plan.victims))
            memory.wanted = wanted
        self._changed(pool)

    def planned(self, snapshot: PoolSnapshot, plan: PoolPlan) -> None:
        memory = self._known.memory(snapshot.name)
        told = memory.plan == plan and memory.snapshot is not None and told_alike(memory.snapshot, snapshot)
        memory.snapshot, memory.plan = snapshot, plan
        if not told:
            self._changed(snapshot.name)

    # The cluster's side.

    async def reconcile(self, pool: str) -> None:
        """Raises the house's errors for whoever retries; what is refused for good is remembered instead."""
        async with self._known.memory(pool).lock:
            view, compiled = self._known.state.pool(pool), self._known.compiled(pool)
            if view is None:
                await self._leaving.sweep(pool)
            elif view.deleting_since is not None:
                await self._leaving.drain(view, view.deleting_since)
            elif compiled is not None:
                await self._repair(view, compiled)
        await self._leaving.keep_guarded(pool)
        self._changed(pool)

    async def _repair(self, view: ResourceView, compiled: CompiledPool) -> None:
        memory = self._known.memory(view.name)
        try:
            await mend_template(self._known, self._writer, view.name, compiled)
            await self._mend_replicas(view.name, compiled)
            memory.refused = ""
        except InvalidInput as error:
            memory.refused = str(error)
            log.warning("a Deployment is refused", extra={"pool": view.name, "why": str(error)})

    async def _mend_replicas(self, pool: str, compiled: CompiledPool) -> None:
        known, memory = self._known, self._known.memory(pool)
        asked = sum(one.replicas for one in known.deployments(pool))
        if known.contested(pool):
            memory.wanted = asked
            known.look_again(pool, CONTEST_LOOK_SECONDS)
            return
        # A new leader takes over what the Deployments ask for.
        wanted = asked if memory.wanted is None else memory.wanted
        await self._advance(pool, compiled, wanted, frozenset())
        memory.wanted = wanted

    async def _advance(self, pool: str, compiled: CompiledPool, wanted: int, victims: frozenset[str]) -> None:
        """One step towards `wanted` workers of the current revision alone."""
        known = self._known
        rollout = rollout_of(known.deployments(pool), compiled.revision, wanted, victims)
        if rollout.old:
            records = await self._source.workers([pool])
            rollout = replace(rollout, workers=workers_of(known.pods(pool), records[0]))
            known.look_again(pool, LOOK_AGAIN_SECONDS)
        await self._carry_out(pool, compiled, next_step(rollout))

    async def _carry_out(self, pool: str, compiled: CompiledPool, step: Step) -> None:
        known, writer = self._known, self._writer
        if step.drain:
            await self._source.drain(pool, step.drain)
        there = {pod.name for pod in known.pods(pool)}
        await together([writer.cheapen(known.namespace, one) for one in step.victims if one in there])
        for revision, replicas in step.replicas.items():
            live = known.live(pool, revision)
            if live is not None:
                await self._scale(live, replicas)
            elif revision == compiled.revision:
                await writer.apply_deployment(deployment(known.revision(pool, compiled), replicas))
        for revision in step.retire:
            live = known.live(pool, revision)
            if live is not None:
                await writer.delete_deployment(known.namespace, live)

    async def _scale(self, live: DeploymentView, replicas: int) -> None:
        try:
            await self._writer.scale(self._known.namespace, live, replicas)
        except NotFound:
            # It was deleted a moment ago: its event brings the pool back here, to be made anew.
            raise Unavailable(f"Deployment {live.name} is gone") from None
