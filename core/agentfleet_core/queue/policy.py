"""PURE. What a pool must respect: fair-share weights, running caps and the tenants' limits, from the fleet
config.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TenantPolicy:
    weight: float = 1.0
    """Its share of the pool relative to the others'."""
    max_running: int = 0
    """Its tasks that may run at once in the pool; 0: as many as the pool allows."""
    limits_digest: str = ""
    """Names its limits: what was parked under others goes on."""


@dataclass(frozen=True, slots=True)
class PoolPolicy:
    """Kept in the pool, so that claims of all workers agree. Tenants that are not named get the defaults."""

    version: int = 0
    """The fleet config's; an older one never replaces a newer one."""
    max_running_per_tenant: int = 0
    """0: no cap."""
    max_running_per_task_type: int = 0
    """0: no cap."""
    tenants: Mapping[str, TenantPolicy] = field(default_factory=dict)
