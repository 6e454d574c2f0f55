"""KEDA's and HPA's documented rules, in simulated time: a target per replica, no promise.

KEDA asks its scaler each `pollingInterval` and switches between 0 and 1 by itself (`cooldownPeriod` after the
last activity); from 1 on an HPA decides each sync period from the metric's value then (autoscaling/v2,
`behavior` at its defaults: up without a window by the larger of 100 % and 4 pods in 15 s; down to the highest
number recommended in 300 s; tolerance 0.1). The metric is what waits and runs: a queue's lag and its pending
entries added.
"""

import math
from collections import deque
from dataclasses import dataclass, field

from agentfleet_core.testing.simulated_fleet import SimulatedFleet


@dataclass(slots=True)
class Keda:
    target: float
    """Tasks per replica."""
    max_replicas: int = 100
    polling_seconds: float = 5.0
    cooldown_seconds: float = 300.0
    sync_seconds: float = 15.0
    down_window_seconds: float = 300.0
    tolerance: float = 0.1
    next_poll: float = 0.0
    next_sync: float = 0.0
    last_active: float = -math.inf
    recommendations: deque[tuple[float, int]] = field(default_factory=deque)

    def next_decision(self) -> float:
        return min(self.next_poll, self.next_sync)

    def decide(self, fleet: SimulatedFleet) -> None:
        if fleet.now >= self.next_poll:
            self.next_poll += self.polling_seconds
            self._poll(fleet)
        if fleet.now >= self.next_sync:
            self.next_sync += self.sync_seconds
            self._sync(fleet)

    def _poll(self, fleet: SimulatedFleet) -> None:
        if fleet.work() > 0:
            self.last_active = fleet.now
            if fleet.replicas == 0:
                fleet.scale_gracefully(1)
        elif fleet.replicas > 0 and fleet.now - self.last_active >= self.cooldown_seconds:
            fleet.scale_gracefully(0)
            self.recommendations.clear()

    def _sync(self, fleet: SimulatedFleet) -> None:
        """An HPA is off at zero replicas, and never goes below one."""
        current = fleet.replicas
        if current == 0:
            return
        value = fleet.work()
        steady = abs(value / (self.target * current) - 1) <= self.tolerance
        wanted = current if steady else math.ceil(value / self.target)
        wanted = min(max(wanted, 1), self.max_replicas)
        self.recommendations.append((fleet.now, wanted))
        while self.recommendations[0][0] <= fleet.now - self.down_window_seconds:
            self.recommendations.popleft()
        if wanted < current:
            wanted = min(current, max(number for _, number in self.recommendations))
        else:
            wanted = min(wanted, max(2 * current, current + 4))
        if wanted != current:
            fleet.scale_gracefully(wanted)
