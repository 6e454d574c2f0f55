"""PURE. The fleet config as admission wants it: schemas compiled, keys by their hash; one per version.

A TaskType whose schema does not compile is left out with its reason, so that one bad type never stops the
rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentfleet_core.api.v1alpha1 import ModelTierSpec, TaskTypeSpec
from agentfleet_core.errors import InvalidInput, Unauthorized
from agentfleet_core.fleet.config import CompiledPool, FleetConfig, key_hash
from agentfleet_core.fleet.schemas import compiled_schema


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a tenant, or whoever holds an admin key."""

    tenant: str
    """Empty for an admin."""
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """A TaskType that can be submitted."""

    name: str
    spec: TaskTypeSpec
    validator: Any
    """Compiled input schema."""

    @property
    def pools(self) -> tuple[str, ...]:
        """The default first."""
        return (self.spec.pool, *(name for name in self.spec.pools if name != self.spec.pool))


@dataclass(frozen=True, slots=True)
class Catalog:
    config: FleetConfig
    offers: Mapping[str, Offer] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    """Type to what is wrong with its schema."""
    principals: Mapping[str, Principal] = field(default_factory=dict)
    """By the SHA-256, hex, of the API key."""

    @property
    def pools(self) -> Mapping[str, CompiledPool]:
        return self.config.pools

    @property
    def tiers(self) -> Mapping[str, ModelTierSpec]:
        return self.config.tiers

    def authenticate(self, authorization: bytes) -> Principal:
        """The caller of an `Authorization` header. Raises `Unauthorized`."""
        scheme, _, key = authorization.partition(b" ")
        if not key or scheme.lower() != b"bearer":
            raise Unauthorized("send your API key as `Authorization: Bearer <key>`")
        # By digest: how long the look-up takes tells something of a digest, and nothing of a key.
        principal = self.principals.get(key_hash(key.strip()))
        if principal is None:
            raise Unauthorized(
                "the API key is not known here; check AGENTFLEET_API_KEY, or ask for a new one"
            )
        return principal


def compile_catalog(config: FleetConfig) -> Catalog:
    offers: dict[str, Offer] = {}
    broken: dict[str, str] = {}
    for name, spec in config.task_types.items():
        try:
            offers[name] = Offer(name, spec, compiled_schema(spec.input_schema))
        except InvalidInput as error:
            broken[name] = str(error)
    principals = {
        digest: Principal(tenant)
        for tenant, compiled in config.tenants.items()
        for digest in compiled.key_hashes
    }
    principals |= {digest: Principal("", admin=True) for digest in config.admin_key_hashes}
    return Catalog(config, offers, broken, principals)
