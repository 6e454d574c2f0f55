"""What a fleet needs done now and then, whoever does it: settle what dead workers held, let tasks go on that
a changed budget admits, and recount what the pools count as they go.

It runs beside the autoscaler, so that it happens while a pool has no worker, and in workers, so that it
happens while nobody decides replicas. All of it is safe to do twice.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agentfleet_core.autoscaler.ports import FleetView
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.windows import limits_digest
from agentfleet_core.errors import AgentfleetError
from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.depth import has_work, held_back
from agentfleet_core.queue.observe import read_counters
from agentfleet_core.queue.policy import PoolPolicy, TenantPolicy
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId

log: Final = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 5.0
AUDIT_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 1.0

OnConfig = Callable[[FleetConfig], Awaitable[None]]
"""Called with the config that stands now; safe to call twice."""


def policy_of(config: FleetConfig, pool: str) -> PoolPolicy:
    """PURE. What the pool must respect."""
    compiled = config.pools.get(pool)
    bulkhead = compiled.spec.bulkhead if compiled is not None else None
    return PoolPolicy(
        version=config.version,
        max_running_per_tenant=(bulkhead.max_running_per_tenant if bulkhead else None) or 0,
        max_running_per_task_type=(bulkhead.max_running_per_task_type if bulkhead else None) or 0,
        tenants={
            name: TenantPolicy(
                weight=tenant.spec.fair_share_weight,
                max_running=tenant.spec.max_running or 0,
                limits_digest=limits_digest(tenant.spec),
            )
            for name, tenant in config.tenants.items()
        },
    )


async def on_each_config(view: FleetView, act: OnConfig, trouble: str) -> None:
    """Until cancelled: `act` on each config as soon as it is seen, again until Redis has taken it."""
    async for config in view.changes():
        while True:
            try:
                await act(config)
                break
            except AgentfleetError as error:
                log.warning("%s: %s", trouble, error)
                await asyncio.sleep(RETRY_SECONDS)


async def configure_pools(redis: Redis, fleet_id: FleetId, view: FleetView) -> None:
    """Until cancelled: every pool knows the newest policy, and what other limits parked there goes on."""

    async def configure(config: FleetConfig) -> None:
        for pool in config.pools:
            await PoolQueue(redis, fleet_id, pool).configure(policy_of(config, pool))

    await on_each_config(view, configure, "the pools' policies are not written yet")


async def sweep_ledgers(redis: Redis, fleet_id: FleetId, ledger: RedisLedger, view: FleetView) -> None:
    """Until cancelled: holds that are over are ended every few seconds."""

    async def sweep() -> None:
        for tenant, swept in (await ledger.sweep_all(list(view.config.tenants))).items():
            if swept.charged or swept.released:
                log.info(
                    "swept holds of workers that are gone",
                    extra={"tenant": tenant, "released": swept.released, "charged": swept.charged},
                )

    lock = FleetKeys(fleet_id).sweeping
    await _one_of_the_fleet(redis, lock, SWEEP_SECONDS, sweep, "the ledger was not swept")


async def audit_pools(redis: Redis, fleet_id: FleetId, view: FleetView) -> None:
    """Until cancelled: pools that hold tasks are recounted every minute, which also ends those that expired
    while no worker claims.
    """

    async def audit() -> None:
        pools = list(view.config.pools)
        counters = await read_counters(redis, fleet_id, pools)
        for pool, found in zip(pools, counters, strict=True):
            holds_tasks = has_work(found) or held_back(found)
            if holds_tasks and not await PoolQueue(redis, fleet_id, pool).audit():
                log.warning("a pool's counts were wrong, and are mended", extra={"pool": pool})

    await _one_of_the_fleet(
        redis, FleetKeys(fleet_id).auditing, AUDIT_SECONDS, audit, "pools were not audited"
    )


async def _one_of_the_fleet(
    redis: Redis, lock: str, seconds: float, act: Callable[[], Awaitable[None]], trouble: str
) -> None:
    """Until cancelled: `act` about so often, by one process of the fleet at a time."""
    while True:
        await asyncio.sleep(seconds * random.uniform(0.8, 1.2))
        try:
            if await redis.set(lock, b"1", nx=True, px=int(seconds * 800)):
                await act()
        except (AgentfleetError, RedisError, OSError) as error:
            log.warning("%s: %s", trouble, error)


async def keep_up(redis: Redis, fleet_id: FleetId, view: FleetView) -> None:
    """All three, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(configure_pools(redis, fleet_id, view), name="configure")
        tasks.create_task(sweep_ledgers(redis, fleet_id, RedisLedger(redis, fleet_id), view), name="sweep")
        tasks.create_task(audit_pools(redis, fleet_id, view), name="audit")
