"""Keeps the pool's policy as the config says, and lets tasks go on that a changed budget admits. Each is safe
to do twice, so workers need no leader for it.
"""

from agentfleet_core.autoscaler.upkeep import changed_limits, on_each_config
from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.fleet.store import ConfigFollower
from agentfleet_core.queue.policy import PoolPolicy, TenantPolicy
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.telemetry import metrics


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


async def follow_config(follower: ConfigFollower, queue: PoolQueue) -> None:
    """Until cancelled."""

    async def write(before: FleetConfig | None, config: FleetConfig) -> None:
        metrics.TENANTS.follow(config.tenants)
        metrics.CONFIG_VERSION.set(config.version)
        await queue.configure(policy_of(config, queue.pool))
        for tenant in changed_limits(before.tenants if before else {}, config.tenants):
            await queue.unblock(tenant)

    await on_each_config(follower, write, "the pool's policy is not written yet")
