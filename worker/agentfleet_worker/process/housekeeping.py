"""Keeps the pool's policy as the config says, which lets tasks go on that a changed budget admits. It is safe
to do twice, so workers need no leader for it.
"""

from agentfleet_core.autoscaler.upkeep import on_each_config, policy_of
from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.fleet.store import ConfigFollower
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.telemetry import metrics


async def follow_config(follower: ConfigFollower, queue: PoolQueue) -> None:
    """Until cancelled."""

    async def write(config: FleetConfig) -> None:
        metrics.TENANTS.follow(config.tenants)
        metrics.CONFIG_VERSION.set(config.version)
        await queue.configure(policy_of(config, queue.pool))

    await on_each_config(follower, write, "the pool's policy is not written yet")
