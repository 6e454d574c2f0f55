"""The leader's work on one namespace: its config, its pools, its statuses, its autoscaling loop.

Everything here starts when this process leads and ends with it; a failure nobody foresaw ends the process.
"""

import asyncio
import logging
from functools import partial

from redis.asyncio import Redis

from agentfleet_core.autoscaler.loop import Autoscaler
from agentfleet_core.autoscaler.ports import PoolObservation
from agentfleet_core.autoscaler.source import RedisCounters
from agentfleet_core.autoscaler.upkeep import keep_up
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.errors import AgentfleetError, Conflict, Unavailable
from agentfleet_core.fleet.compile import Compiled
from agentfleet_core.fleet.store import ConfigFollower
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.observe import blocked_tasks
from agentfleet_core.settings import FleetId
from agentfleet_core.telemetry import metrics
from agentfleet_operator.apply import Writer
from agentfleet_operator.events import Events
from agentfleet_operator.kube import KubeApi
from agentfleet_operator.leadership import Leadership
from agentfleet_operator.pools.actuator import Pools
from agentfleet_operator.pools.memory import KnownPools
from agentfleet_operator.publishing import Publishing
from agentfleet_operator.resources import WorkerDefaults, template_revision
from agentfleet_operator.secrets import SecretReader
from agentfleet_operator.state import FleetState
from agentfleet_operator.statuses import Statuses

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
POOLS_AT_ONCE = 8


class Fleet:
    def __init__(
        self,
        fleet_id: FleetId,
        state: FleetState,
        api: KubeApi,
        writer: Writer,
        redis: Redis,
        leadership: Leadership,
        defaults: WorkerDefaults,
    ) -> None:
        self._state = state
        self._fleet_id = fleet_id
        self._redis = redis
        self._follower = ConfigFollower(redis, FleetKeys(fleet_id))
        self._events = Events(writer, leadership.identity)
        known = KnownPools(fleet_id, state, defaults)
        self._pools = Pools(known, writer, RedisCounters(redis, fleet_id), self._pool_changed)
        self._statuses = Statuses(
            state,
            writer,
            self._events,
            self._pools,
            RedisLedger(redis, fleet_id),
            partial(blocked_tasks, redis, fleet_id),
            self._follower,
        )
        self._autoscaler = Autoscaler(redis, fleet_id, self._follower, self._pools)
        self._publishing = Publishing(
            fleet_id,
            state,
            SecretReader(api, state),
            redis,
            self._follower,
            leadership,
            self._compiled,
            lambda pool, spec, tiers: template_revision(fleet_id, pool, spec, tiers, defaults),
        )
        self._told: dict[str, PoolObservation | None] = {}
        self._hands = asyncio.Semaphore(POOLS_AT_ONCE)

    async def run(self) -> None:
        """Until cancelled. Waits for Redis at its start: without it nothing is known of any pool."""
        await self._until_followed()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._publishing.run(), name="publishing")
                tasks.create_task(self._look_at_pools(), name="pools")
                tasks.create_task(self._statuses.run(), name="statuses")
                tasks.create_task(self._events.run(), name="events")
                tasks.create_task(self._autoscaler.run(), name="autoscaler")
                tasks.create_task(keep_up(self._redis, self._fleet_id, self._follower), name="upkeep")
        finally:
            await self._follower.close()

    async def _until_followed(self) -> None:
        while True:
            try:
                await self._follower.start()
                return
            except Unavailable as error:
                log.warning("waiting for Redis: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    def _compiled(self, compiled: Compiled) -> None:
        metrics.TENANTS.follow(compiled.config.tenants, fleet=self._fleet_id.namespace)
        self._pools.follow(compiled.config)
        self._statuses.judge(compiled)

    def _pool_changed(self, pool: str) -> None:
        self._statuses.mark("AgentPool", pool)

    async def _look_at_pools(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._state.changes.some_pool.wait()
                for pool in self._state.changes.take_pools():
                    tasks.create_task(self._reconcile(pool))

    async def _reconcile(self, pool: str) -> None:
        self._tell_autoscaler(pool)
        async with self._hands:
            try:
                await self._pools.reconcile(pool)
            except Conflict:
                # Somebody wrote the same object meanwhile; its event is on its way.
                self._look_again(pool)
            except Exception as error:
                # The edge of one pool: whatever is wrong with it, the others go on.
                known = isinstance(error, AgentfleetError)
                log.warning("a pool is looked at again: %s", error, extra={"pool": pool}, exc_info=not known)
                self._look_again(pool)
        self._tell_autoscaler(pool)

    def _look_again(self, pool: str) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(RETRY_SECONDS, lambda: self._state.changes.ring(pool=pool))

    def _tell_autoscaler(self, pool: str) -> None:
        """Wake it where what it would observe is not what it observed."""
        seen = self._pools.observe(pool)
        if seen != self._told.get(pool):
            self._told[pool] = seen
            self._autoscaler.wake(pool)
