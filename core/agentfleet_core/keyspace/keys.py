"""Every Redis key, in one place. Keys that one script touches share a hash tag.

`{p:<install>/<namespace>/<pool>}` a pool, `{b:<install>/<namespace>/<tenant>}` a tenant's money and idempotency,
`{f:<install>/<namespace>}` the fleet's config and switches. A script that finds keys while it runs builds them from
the tag it was given, as the properties here do.
"""

from dataclasses import dataclass

from agentfleet_core.settings import FleetId


@dataclass(frozen=True, slots=True)
class FleetKeys:
    fleet: FleetId

    @property
    def tag(self) -> str:
        return f"{{f:{self.fleet.install}/{self.fleet.namespace}}}"

    @property
    def config(self) -> str:
        """Hash: version, term, body (JSON of FleetConfig)."""
        return f"{self.tag}:config"

    @property
    def switches(self) -> str:
        """Hash of what is paused by hand: `fleet`, `pool/<name>`, `tenant/<name>` to who and when (JSON)."""
        return f"{self.tag}:switches"

    @property
    def signals(self) -> str:
        """Pub/sub channel: `config`, `switches`, `pool/<name>` when a pool's counters changed."""
        return f"agentfleet:{self.fleet.install}/{self.fleet.namespace}:signals"

    @property
    def plans(self) -> str:
        """Hash: pool to the newest PoolPlan (JSON), for `why` and `watch`."""
        return f"{self.tag}:plans"


@dataclass(frozen=True, slots=True)
class TenantKeys:
    fleet: FleetId
    tenant: str

    @property
    def tag(self) -> str:
        return f"{{b:{self.fleet.install}/{self.fleet.namespace}/{self.tenant}}}"


@dataclass(frozen=True, slots=True)
class PoolKeys:
    fleet: FleetId
    pool: str

    @property
    def tag(self) -> str:
        return f"{{p:{self.fleet.install}/{self.fleet.namespace}/{self.pool}}}"
