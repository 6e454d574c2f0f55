"""What some worker of the fleet must do now and then: sweep the ledger, keep the pool's policy, lift what a
new budget allows. Each is safe to do twice, so workers need no leader for it.
"""

import asyncio
import logging
import random
from collections.abc import Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agentfleet_core.errors import AgentfleetError
from agentfleet_core.fleet.config import CompiledTenant, FleetConfig
from agentfleet_core.fleet.store import ConfigFollower
from agentfleet_core.ports import Ledger
from agentfleet_core.queue.policy import PoolPolicy, TenantPolicy
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.telemetry import metrics

log = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0


def policy_of(config: FleetConfig, pool: str) -> PoolPolicy:
    compiled = config.pools.get(pool)
    bulkhead = compiled.spec.bulkhead if compiled is not None else None
    return PoolPolicy(
        version=config.version,
        max_running_per_tenant=(bulkhead.max_running_per_tenant if bulkhead else None) or 0,
        max_running_per_task_type=(bulkhead.max_running_per_task_type if bulkhead else None) or 0,
        tenants={
            name: TenantPolicy(weight=tenant.spec.fair_share_weight, max_running=tenant.spec.max_running or 0)
            for name, tenant in config.tenants.items()
        },
    )


def raised(before: Mapping[str, CompiledTenant], now: Mapping[str, CompiledTenant]) -> list[str]:
    """Tenants whose limits changed: what was parked for lack of budget may go on now."""
    return [
        name
        for name, tenant in now.items()
        if name in before and before[name].spec.limits != tenant.spec.limits
    ]


async def follow_config(follower: ConfigFollower, queue: PoolQueue) -> None:
    """Until cancelled. A change is applied as soon as it is seen, and again until Redis has taken it."""
    before: Mapping[str, CompiledTenant] = {}
    async for config in follower.changes():
        metrics.TENANTS.follow(config.tenants)
        metrics.CONFIG_VERSION.set(config.version)
        while True:
            try:
                await queue.configure(policy_of(config, queue.pool))
                for tenant in raised(before, config.tenants):
                    await queue.unblock(tenant)
                break
            except AgentfleetError as error:
                log.warning("the pool's policy is not written yet: %s", error)
                await asyncio.sleep(1.0)
        before = config.tenants


async def sweep_ledgers(redis: Redis, lock: str, ledger: Ledger, follower: ConfigFollower) -> None:
    """Until cancelled: one worker at a time, every few seconds, settles what dead workers held."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.8, 1.2))
        try:
            if not await redis.set(lock, b"1", nx=True, px=int(SWEEP_SECONDS * 800)):
                continue
            for tenant in list(follower.config.tenants):
                swept = await ledger.sweep(tenant)
                if swept.charged or swept.released:
                    log.info(
                        "swept holds of workers that are gone",
                        extra={"tenant": tenant, "released": swept.released, "charged": swept.charged},
                    )
        except (AgentfleetError, RedisError, OSError) as error:
            log.warning("the ledger was not swept: %s", error)
