"""One loop over all pools: read what changed, plan, have it carried out. Written against by the operator and `dev`."""

from redis.asyncio import Redis

from agentfleet_core.autoscaler.ports import Actuator, FleetView
from agentfleet_core.settings import FleetId


class Autoscaler:
    """`run()` until cancelled. One per fleet; the caller sees to it that only one runs."""

    def __init__(
        self,
        redis: "Redis",
        fleet_id: FleetId,
        follower: FleetView,
        actuator: Actuator,
        *,
        tick_seconds: float = 1.0,
    ) -> None:
        self._redis = redis
        self._fleet_id = fleet_id
        self._follower = follower
        self._actuator = actuator
        self._tick_seconds = tick_seconds

    async def run(self) -> None:
        raise NotImplementedError

    def wake(self, pool: str | None = None) -> None:
        """Plan this pool (None: all) at once; whoever runs workers calls it when their state changed."""
