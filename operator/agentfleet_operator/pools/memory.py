"""What the leader knows of its pools: the newest config, the cluster as seen, and what it remembers itself.

No I/O: whoever writes has a module of its own.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agentfleet_core.errors import NotFound
from agentfleet_core.fleet.config import CompiledPool, FleetConfig
from agentfleet_core.planner.snapshot import PoolPlan, PoolSnapshot
from agentfleet_core.settings import FleetId
from agentfleet_operator.observe import contested
from agentfleet_operator.resources import PoolRevision, SecretKey, WorkerDefaults, provider_keys
from agentfleet_operator.state import FleetState
from agentfleet_operator.views import DeploymentView, PodView

LOOK_AGAIN_SECONDS = 1.0
"""While a rollout or a drain waits for workers: what they hold sends no event."""


@dataclass(slots=True)
class PoolMemory:
    """What is remembered of one pool beside what the cluster shows."""

    wanted: int | None = None
    """Workers asked for with success; None before this leader asked."""
    snapshot: PoolSnapshot | None = None
    plan: PoolPlan | None = None
    refused: str = ""
    """Why the API server refused the pool's Deployment; empty when it did not."""
    draining: str = ""
    """What a deleted pool waits for."""
    settled: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Deployment to a difference that applying did not mend, and what was applied."""
    as_declared: tuple[PoolRevision, bytes] | None = None
    """What was declared last, and the live content that was found to be so."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class KnownPools:
    def __init__(
        self,
        fleet_id: FleetId,
        state: FleetState,
        defaults: WorkerDefaults,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.fleet_id = fleet_id
        self.state = state
        self.clock = clock
        self.memories: dict[str, PoolMemory] = {}
        self._defaults = defaults
        self._config: FleetConfig | None = None
        self._keys: tuple[SecretKey, ...] = ()

    @property
    def namespace(self) -> str:
        return self.fleet_id.namespace

    def follow(self, config: FleetConfig) -> None:
        """A newly compiled config, published or not; every pool is then looked at again."""
        self._config = config
        self._keys = provider_keys(config.tiers.values())
        for pool in self.state.pool_names():
            self.state.changes.ring(pool=pool)

    def memory(self, pool: str) -> PoolMemory:
        found = self.memories.get(pool)
        if found is None:
            found = self.memories[pool] = PoolMemory()
        return found

    def compiled(self, pool: str) -> CompiledPool | None:
        return self._config.pools.get(pool) if self._config is not None else None

    def deployments(self, pool: str) -> Collection[DeploymentView]:
        return self.state.deployments.get(pool, {}).values()

    def pods(self, pool: str) -> Collection[PodView]:
        return self.state.pods.get(pool, {}).values()

    def live(self, pool: str, revision: str) -> DeploymentView | None:
        found = self.deployments(pool)
        return next((one for one in found if one.revision == revision and not one.deleting), None)

    def contested(self, pool: str) -> bool:
        now = self.clock()
        return any(contested(one, now) for one in self.deployments(pool))

    def revision(self, pool: str, compiled: CompiledPool) -> PoolRevision:
        """Raises `NotFound` for a pool that has gone meanwhile."""
        view = self.state.pool(pool)
        if view is None:
            raise NotFound("AgentPool", pool)
        return PoolRevision(
            fleet=self.fleet_id,
            pool=pool,
            uid=view.uid,
            revision=compiled.revision,
            spec=compiled.spec,
            provider_keys=self._keys,
            defaults=self._defaults,
        )

    def look_again(self, pool: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, lambda: self.state.changes.ring(pool=pool))
