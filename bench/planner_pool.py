"""The real planner on a simulated pool, with the loop's own state and history; it looks once a second."""

from dataclasses import dataclass, field

from agentfleet_core.autoscaler.state import PoolState
from agentfleet_core.fleet.config import CompiledPool
from agentfleet_core.planner.plan import plan
from agentfleet_core.planner.snapshot import PoolPlan, PoolSnapshot
from agentfleet_core.testing.simulated_fleet import SimulatedFleet

TICK_SECONDS = 1.0


@dataclass(slots=True)
class PlannedPool:
    compiled: CompiledPool
    state: PoolState = field(default_factory=lambda: PoolState("pool"))
    next_look: float = 0.0

    def next_decision(self) -> float:
        return self.next_look

    def decide(self, fleet: SimulatedFleet) -> tuple[PoolSnapshot, PoolPlan]:
        """Look, plan, and carry it out at once; what it saw and what it did."""
        seen = fleet.observation()
        self.state.read(fleet.counters(), fleet.now)
        self.state.read_workers(fleet.records(), seen.live_workers)
        snapshot = self.state.see(self.compiled, seen, None, fleet.now)
        made = plan(snapshot)
        self.state.remember(snapshot, made)
        fleet.drain(made.drain)
        if made.replicas != fleet.replicas:
            fleet.scale(made.replicas, made.victims)
        self.next_look = fleet.now + TICK_SECONDS
        return snapshot, made
