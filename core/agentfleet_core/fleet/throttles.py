"""Models that their provider asked the fleet not to call for a while: told by whoever was refused, known to
every worker a moment later, since `ConfigFollower` reads them along with the config.
"""

from collections.abc import Mapping

from redis.asyncio import Redis

from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.keyspace.scripts import load_script

THROTTLE = load_script("agentfleet_core.fleet", "throttle")

Throttles = Mapping[tuple[str, str], float]
"""Tier and model to when it takes calls again, on the reader's monotonic clock, in seconds."""


async def throttle(redis: Redis, keys: FleetKeys, tier: str, model: str, seconds: float) -> None:
    """Raises `Unavailable`."""
    await THROTTLE.run(redis, [keys.throttles], [f"{tier}/{model}", round(seconds * 1_000), keys.changes])


def read_throttles(
    stored: Mapping[bytes, bytes], *, redis_time: tuple[int, int], monotonic: float
) -> dict[tuple[str, str], float]:
    """PURE. Those that still hold. `redis_time`: seconds and microseconds, as TIME gives them, at about
    `monotonic`.
    """
    now = redis_time[0] + redis_time[1] / 1_000_000
    found = {}
    for name, until_ms in stored.items():
        tier, _, model = name.decode().partition("/")
        seconds = int(until_ms) / 1_000 - now
        if seconds > 0:
            found[tier, model] = monotonic + seconds
    return found
