"""PURE. The fleet config: the resources of one namespace, compiled for the data plane.

The operator (or local mode) compiles and publishes it; coordinators and workers follow it.
"""

import hashlib

from pydantic import Field

from agentfleet_core.api.v1alpha1 import (
    AgentPoolSpec,
    ModelTierSpec,
    Resource,
    TaskTypeSpec,
    TenantBudgetSpec,
)


class CompiledPool(Resource):
    """A pool as coordinators and workers see it."""

    spec: AgentPoolSpec
    revision: str
    """Hash of the worker's pod template; stamped on tasks as they are admitted."""
    deleting: bool = False
    """The AgentPool was deleted: what its workers hold goes on, nothing new is admitted."""


class CompiledTenant(Resource):
    """A tenant as coordinators and workers see it."""

    budget: str
    """The TenantBudget's name."""
    spec: TenantBudgetSpec
    key_hashes: list[str] = Field(default_factory=list)
    """SHA-256, hex, of each API key that is valid now."""


class FleetConfig(Resource):
    """Versioned; a publisher's `term` guards it: a deposed leader's write is refused."""

    install: str
    namespace: str
    version: int = 0
    """Grows by one with each change; set by the store."""
    term: int = 0
    pools: dict[str, CompiledPool] = Field(default_factory=dict)
    task_types: dict[str, TaskTypeSpec] = Field(default_factory=dict)
    tenants: dict[str, CompiledTenant] = Field(default_factory=dict)
    """By tenant, not by the TenantBudget's name."""
    tiers: dict[str, ModelTierSpec] = Field(default_factory=dict)
    admin_key_hashes: list[str] = Field(default_factory=list)
    """SHA-256, hex, of each key that may see and steer the whole fleet."""


def key_hash(key: bytes) -> str:
    """How an API key stands in the config: keys are long and random, so a plain digest cannot be reversed."""
    return hashlib.sha256(key).hexdigest()
