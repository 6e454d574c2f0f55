"""The pools of one fleet, as Deployments: observes them for the autoscaler, carries its plans out, repairs
drift.

Only the leader has one of these. Reconciling a pool may be done again at any time: it looks at what is there
and does what is missing. One pool is worked on by one task at a time.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import orjson

from agentfleet_core.autoscaler.ports import CounterSource, PoolObservation
from agentfleet_core.errors import InvalidInput, NotFound, Unavailable
from agentfleet_core.fleet.config import CompiledPool, FleetConfig
from agentfleet_core.planner.snapshot import PoolPlan, PoolSnapshot
from agentfleet_core.settings import FleetId
from agentfleet_operator.apply import Writer
from agentfleet_operator.draining import DeletedPool, drain_step
from agentfleet_operator.drift import first_difference
from agentfleet_operator.kube import Json
from agentfleet_operator.observe import (
    contested,
    is_rolling_out,
    observation,
    rollout_of,
    told_alike,
    workers_of,
)
from agentfleet_operator.resources import PoolRevision, SecretKey, WorkerDefaults, deployment, provider_keys
from agentfleet_operator.rollout import Step, next_step
from agentfleet_operator.state import FleetState
from agentfleet_operator.views import DRAIN_FINALIZER, DeploymentView, ResourceView

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 1.0
"""While a rollout or a drain waits for workers: what they hold sends no event."""
CONTEST_LOOK_SECONDS = 60.0


@dataclass(slots=True)
class PoolMemory:
    """What is remembered of one pool beside what the cluster shows."""

    wanted: int | None = None
    """Workers asked for with success; None before this leader asked."""
    snapshot: PoolSnapshot | None = None
    plan: PoolPlan | None = None
    refused: str = ""
    """Why the API server refused the pool's Deployment; empty when it did not."""
    draining: str = ""
    """What a deleted pool waits for."""
    settled: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Deployment to a difference that applying did not mend, and what was applied."""
    as_declared: tuple[PoolRevision, bytes] | None = None
    """What was declared last, and the live content that was found to be so."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Pools:
    """Implements `Actuator`. `changed(pool)` is called when `observe` or a status would say something new."""

    def __init__(
        self,
        fleet_id: FleetId,
        state: FleetState,
        writer: Writer,
        source: CounterSource,
        defaults: WorkerDefaults,
        changed: Callable[[str], None],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._fleet_id = fleet_id
        self._state = state
        self._writer = writer
        self._source = source
        self._defaults = defaults
        self._changed = changed
        self._clock = clock
        self._config: FleetConfig | None = None
        self._keys: tuple[SecretKey, ...] = ()
        self._memory: dict[str, PoolMemory] = {}

    def follow(self, config: FleetConfig) -> None:
        """A newly compiled config, published or not; every pool is then looked at again."""
        self._config = config
        self._keys = provider_keys(config.tiers.values())
        for pool in self._state.pool_names():
            self._state.changes.ring(pool=pool)

    def memory(self, pool: str) -> PoolMemory:
        found = self._memory.get(pool)
        if found is None:
            found = self._memory[pool] = PoolMemory()
        return found

    # The autoscaler's side.

    def observe(self, pool: str) -> PoolObservation | None:
        view, compiled = self._state.pool(pool), self._compiled(pool)
        if view is None or view.deleting_since is not None or compiled is None:
            return None
        deployments = self._state.deployments.get(pool, {})
        if not any(one.revision == compiled.revision for one in deployments.values()):
            return None
        pods = self._state.pods.get(pool, {}).values()
        return observation(
            deployments.values(), pods, compiled.revision, self.memory(pool).wanted, self._clock()
        )

    async def apply(self, pool: str, compiled: CompiledPool, plan: PoolPlan) -> None:
        memory = self.memory(pool)
        async with memory.lock, self._writer.gate.urgent():
            if self._contested(pool):
                return
            current = self._compiled(pool) or compiled
            live = self._state.deployments.get(pool, {}).values()
            # In a rollout the workers that leave are counted by it, not by the plan.
            wanted = plan.wanted if is_rolling_out(live, current.revision) else plan.replicas
            await self._advance(pool, current, wanted, frozenset(plan.victims))
            memory.wanted = wanted
        self._changed(pool)

    def planned(self, snapshot: PoolSnapshot, plan: PoolPlan) -> None:
        memory = self.memory(snapshot.name)
        told = memory.plan == plan and memory.snapshot is not None and told_alike(memory.snapshot, snapshot)
        memory.snapshot, memory.plan = snapshot, plan
        if not told:
            self._changed(snapshot.name)

    def blocked_tasks(self) -> Counter[str]:
        """Tenant to its tasks, of all pools, that wait because no budget admits them; as last read."""
        blocked: Counter[str] = Counter()
        for memory in self._memory.values():
            blocked.update(dict(memory.snapshot.blocked_tenants if memory.snapshot else ()))
        return blocked

    # The cluster's side.

    async def reconcile(self, pool: str) -> None:
        """Raises the house's errors for whoever retries; what is refused for good is remembered instead."""
        memory = self.memory(pool)
        async with memory.lock:
            view, compiled = self._state.pool(pool), self._compiled(pool)
            if view is None:
                await self._sweep(pool)
            elif view.deleting_since is not None:
                await self._drain(view, view.deleting_since)
            elif compiled is not None:
                await self._repair(view, compiled)
        await self._keep_guarded(pool)
        self._changed(pool)

    async def _repair(self, view: ResourceView, compiled: CompiledPool) -> None:
        memory = self.memory(view.name)
        try:
            await self._mend_template(view.name, compiled)
            await self._mend_replicas(view.name, compiled)
            memory.refused = ""
        except InvalidInput as error:
            memory.refused = str(error)
            log.warning("a Deployment is refused", extra={"pool": view.name, "why": str(error)})

    async def _keep_guarded(self, pool: str) -> None:
        """A pool that has workers must drain before it may go. No plan waits for this write."""
        view = self._state.pool(pool)
        if view is None or view.deleting_since is not None or not self.memory(pool).wanted:
            return
        if DRAIN_FINALIZER not in view.finalizers:
            async with self._writer.gate.background():
                await self._writer.guard(self._state.pool(pool) or view, on=True)

    async def _mend_replicas(self, pool: str, compiled: CompiledPool) -> None:
        memory = self.memory(pool)
        if self._contested(pool):
            memory.wanted = sum(one.replicas for one in self._state.deployments[pool].values())
            self._look_again(pool, CONTEST_LOOK_SECONDS)
            return
        wanted = self._wanted(pool)
        await self._advance(pool, compiled, wanted, frozenset())
        memory.wanted = wanted

    def _wanted(self, pool: str) -> int:
        """Asked for last; a new leader takes over what the Deployments ask for."""
        known = self.memory(pool).wanted
        if known is not None:
            return known
        return sum(one.replicas for one in self._state.deployments.get(pool, {}).values())

    async def _mend_template(self, pool: str, compiled: CompiledPool) -> None:
        """Where the current revision's Deployment is there but not as declared, declare it again."""
        live = self._live(pool, compiled.revision)
        if live is None:
            return
        memory, revision = self.memory(pool), self._revision(pool, compiled)
        if memory.as_declared == (revision, live.content):
            return
        body = deployment(revision, None if contested(live, self._clock()) else live.replicas)
        difference, applied = _difference(body, live), orjson.dumps(body)
        if not difference:
            memory.settled.pop(live.name, None)
            memory.as_declared = (revision, live.content)
            return
        if memory.settled.get(live.name) == (difference, applied):
            return
        log.info("a Deployment drifted and is declared again", extra={"pool": pool, "field": difference})
        await self._writer.apply_deployment(body)
        again = self._live(pool, compiled.revision)
        left = _difference(body, again) if again is not None else ""
        if left:
            memory.settled[live.name] = (left, applied)
            log.warning("a Deployment stays unlike its declaration", extra={"pool": pool, "field": left})

    async def _advance(self, pool: str, compiled: CompiledPool, wanted: int, victims: frozenset[str]) -> None:
        """One step towards `wanted` workers of the current revision alone."""
        rollout = rollout_of(
            self._state.deployments.get(pool, {}).values(), compiled.revision, wanted, victims
        )
        if rollout.old:
            records = await self._source.workers([pool])
            rollout = replace(
                rollout, workers=workers_of(self._state.pods.get(pool, {}).values(), records[0])
            )
            self._look_again(pool, LOOK_AGAIN_SECONDS)
        await self._carry_out(pool, compiled, next_step(rollout))

    async def _carry_out(self, pool: str, compiled: CompiledPool, step: Step) -> None:
        if step.drain:
            await self._source.drain(pool, step.drain)
        known = self._state.pods.get(pool, {})
        await _together([self._writer.cheapen(self._namespace, one) for one in step.victims if one in known])
        for revision, replicas in step.replicas.items():
            live = self._live(pool, revision)
            if live is not None:
                await self._scale(live, replicas)
            elif revision == compiled.revision:
                await self._writer.apply_deployment(deployment(self._revision(pool, compiled), replicas))
        for revision in step.retire:
            live = self._live(pool, revision)
            if live is not None:
                await self._writer.delete_deployment(self._namespace, live)

    async def _scale(self, live: DeploymentView, replicas: int) -> None:
        try:
            await self._writer.scale(self._namespace, live, replicas)
        except NotFound:
            # It was deleted a moment ago: its event brings the pool back here, to be made anew.
            raise Unavailable(f"Deployment {live.name} is gone") from None

    async def _drain(self, view: ResourceView, since: datetime) -> None:
        if DRAIN_FINALIZER not in view.finalizers:
            return
        live = list(self._state.deployments.get(view.name, {}).values())
        pods = self._state.pods.get(view.name, {}).values()
        try:
            records = await self._source.workers([view.name])
            workers = workers_of(pods, records[0])
        except Unavailable:
            workers = None
        step = drain_step(DeletedPool(self._clock(), since, _grace_seconds(view), len(live), workers))
        self.memory(view.name).draining = step.text
        if step.drain:
            await self._source.drain(view.name, step.drain)
        if step.remove_deployments:
            await _together([self._writer.delete_deployment(self._namespace, one) for one in live])
        if step.release:
            await self._writer.guard(view, on=False)
        self._look_again(view.name, LOOK_AGAIN_SECONDS)

    async def _sweep(self, pool: str) -> None:
        """Deployments whose pool is gone: the garbage collector's work, done also where it was told to
        orphan.
        """
        for one in list(self._state.deployments.get(pool, {}).values()):
            if not one.deleting:
                await self._writer.delete_deployment(self._namespace, one)
        self._memory.pop(pool, None)

    # What is known.

    @property
    def _namespace(self) -> str:
        return self._fleet_id.namespace

    def _compiled(self, pool: str) -> CompiledPool | None:
        return self._config.pools.get(pool) if self._config is not None else None

    def _contested(self, pool: str) -> bool:
        now = self._clock()
        return any(contested(one, now) for one in self._state.deployments.get(pool, {}).values())

    def _live(self, pool: str, revision: str) -> DeploymentView | None:
        found = self._state.deployments.get(pool, {}).values()
        return next((one for one in found if one.revision == revision and not one.deleting), None)

    def _revision(self, pool: str, compiled: CompiledPool) -> PoolRevision:
        view = self._state.pool(pool)
        if view is None:
            raise NotFound("AgentPool", pool)
        return PoolRevision(
            fleet=self._fleet_id,
            pool=pool,
            uid=view.uid,
            revision=compiled.revision,
            spec=compiled.spec,
            provider_keys=self._keys,
            defaults=self._defaults,
        )

    def _look_again(self, pool: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, lambda: self._state.changes.ring(pool=pool))


def _difference(body: Json, live: DeploymentView) -> str:
    """Where the live Deployment is not as declared; its number of replicas is not looked at."""
    metadata = body["metadata"]
    declared = {
        "labels": metadata["labels"],
        "ownerReferences": metadata["ownerReferences"],
        "spec": {key: value for key, value in body["spec"].items() if key != "replicas"},
    }
    return first_difference(declared, orjson.loads(live.content))


def _grace_seconds(view: ResourceView) -> float:
    spec = getattr(view.resource, "spec", None)
    return float(getattr(spec, "termination_grace_period_seconds", 60))


async def _together(calls: Sequence[Awaitable[None]]) -> None:
    """All of them, then the first failure if there was one."""
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
