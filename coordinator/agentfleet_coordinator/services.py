"""What the routes need, made once per process, and how it starts and ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
from redis.asyncio import Redis

from agentfleet_coordinator.catalog import Catalog, compile_catalog
from agentfleet_coordinator.costs import ExpectedCosts
from agentfleet_coordinator.follows import Follows
from agentfleet_coordinator.index import TaskIndex
from agentfleet_coordinator.intake import Intake
from agentfleet_coordinator.pressure import Pressure
from agentfleet_coordinator.queues import Queues
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.errors import Unavailable
from agentfleet_core.fleet.store import ConfigFollower
from agentfleet_core.keyspace.connect import connect, reaching_redis
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.task_view import Json
from agentfleet_core.settings import FleetId, Settings
from agentfleet_core.telemetry import metrics

COMMAND_SECONDS = 1.5
"""A client waits for Redis no longer than it would for a 503."""
SILENCE_SECONDS = 4.0
"""After which requests are answered 503 without asking Redis."""


@dataclass(slots=True)
class Services:
    redis: Redis
    fleet: FleetId
    follower: ConfigFollower
    queues: Queues
    intake: Intake
    index: TaskIndex
    pressure: Pressure
    costs: ExpectedCosts
    ledger: RedisLedger
    follows: Follows
    draining: bool = False
    """True once the process has been told to stop: it is not ready, and streams end."""
    _catalog: Catalog | None = None

    @property
    def keys(self) -> FleetKeys:
        return FleetKeys(self.fleet)

    @property
    def catalog(self) -> Catalog:
        """Of the newest config; compiled when it has changed."""
        config = self.follower.config
        if self._catalog is None or self._catalog.config is not config:
            self._catalog = compile_catalog(config)
            metrics.TENANTS.follow(config.tenants)
        return self._catalog

    @property
    def not_ready(self) -> str:
        """What keeps it from serving, in words; empty when nothing does."""
        if self.draining:
            return "stopping"
        if not self.follower.fresh:
            return "Redis does not answer"
        if self.follower.config.version == 0:
            return "no fleet config was published yet"
        return ""

    def require_redis(self) -> None:
        """Raises `Unavailable` at once while Redis is known to be silent."""
        if not self.follower.fresh:
            raise Unavailable("Redis does not answer; nothing was changed, try again")

    async def plan_of(self, pool: str) -> Json | None:
        """The newest that the autoscaler published."""
        with reaching_redis():
            plan = await self.redis.hget(self.keys.plans, pool)
        return None if plan is None else dict(orjson.loads(plan))

    def stop(self) -> None:
        """Not ready from now on; followers are let go, to resume elsewhere by their last event."""
        self.draining = True
        self.follows.stop()


@asynccontextmanager
async def running_services(settings: Settings) -> AsyncIterator[Services]:
    redis = connect(settings.redis_url, command_seconds=COMMAND_SECONDS, retries=1)
    fleet = settings.fleet
    queues = Queues(redis, fleet)
    follower = ConfigFollower(redis, FleetKeys(fleet), silence_seconds=SILENCE_SECONDS)
    services = Services(
        redis=redis,
        fleet=fleet,
        follower=follower,
        queues=queues,
        intake=Intake(redis, fleet, queues),
        index=TaskIndex(redis, fleet, queues),
        pressure=Pressure(queues),
        costs=ExpectedCosts(queues),
        ledger=RedisLedger(redis, fleet),
        follows=Follows(queues),
    )
    await follower.start()
    learning = asyncio.create_task(services.costs.run(), name="expected-costs")
    try:
        yield services
    finally:
        learning.cancel()
        await asyncio.gather(learning, return_exceptions=True)
        services.stop()
        await services.intake.close()
        await services.index.close()
        await follower.close()
        await redis.aclose()
