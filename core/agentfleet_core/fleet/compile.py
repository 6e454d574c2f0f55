"""PURE. Resources of one namespace to the fleet config that the data plane follows.

An object with a finding is not accepted. What was accepted of it before goes on, so that a typo at night
stops nothing and a budget with a broken line still holds at its former amounts. An object that was never
accepted is left out: its tenant has no key, its task type is unknown. The config never refers to something
that is not in it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from agentfleet_core.api.conditions import Reason
from agentfleet_core.api.v1alpha1 import (
    AgentPool,
    AgentPoolSpec,
    AnyResource,
    ModelTier,
    ModelTierSpec,
    TaskType,
    TaskTypeSpec,
    TenantBudget,
    TenantBudgetSpec,
)
from agentfleet_core.api.v1alpha1.base import SecretKeyRef
from agentfleet_core.fleet.config import CompiledPool, CompiledTenant, FleetConfig, key_hash
from agentfleet_core.fleet.review import Finding, Secrets, api_keys, review
from agentfleet_core.fleet.revision import pool_revision
from agentfleet_core.settings import FleetId

ADMIN_KEY = SecretKeyRef(name="agentfleet-admin", key="api-key")
"""Where the keys that may see and steer the whole fleet are; a line each. No Secret: nobody may."""


RevisionOf = Callable[[str, AgentPoolSpec, Iterable[ModelTierSpec]], str]
"""A pool's name, its spec and the fleet's tiers to its revision."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one object: the `Accepted` condition's status, reason and message."""

    kind: str
    name: str
    accepted: bool
    reason: Reason
    message: str
    in_use: bool
    """True when it, or what was accepted of it before, is in the config."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """The config, and what is said of each object."""

    config: FleetConfig
    """Without version and term, which the store gives."""
    conditions: tuple[Verdict, ...]
    """One per resource, in their order."""
    findings: tuple[Finding, ...]


def compile_fleet(
    fleet_id: FleetId,
    resources: Sequence[AnyResource],
    secrets: Secrets,
    now: datetime,
    *,
    previous: FleetConfig | None = None,
    revision_of: RevisionOf = lambda name, spec, tiers: pool_revision(spec),
) -> Compiled:
    """The config of `resources`, all of one namespace. `previous` is the config published now, if any.

    `revision_of`: whoever runs workers knows what else than a pool's spec makes its workers what they are.
    """
    findings = [*review(resources, secrets, now)]
    before = previous or FleetConfig(install=fleet_id.install, namespace=fleet_id.namespace)
    bad = {(one.kind, one.name) for one in findings}
    tiers = _tiers(resources, bad, before)
    pools = _pools(resources, bad, before, lambda name, spec: revision_of(name, spec, tiers.values()))
    types = _types(resources, bad, before)
    dangling = [*_dangling(types, pools, tiers)]
    for one in dangling:
        types.pop(one.name)
    findings += [one for one in dangling if (one.kind, one.name) not in bad]
    tenants = _tenants(resources, bad, before, secrets)
    config = FleetConfig(
        install=fleet_id.install,
        namespace=fleet_id.namespace,
        pools=_sorted(pools),
        task_types=_sorted(types),
        tenants=_sorted(tenants),
        tiers=_sorted(tiers),
        admin_key_hashes=_admin_hashes(secrets),
    )
    return Compiled(config, tuple(_verdicts(resources, findings, config)), tuple(findings))


def secret_names(resources: Sequence[AnyResource]) -> frozenset[str]:
    """The Secrets that `compile_fleet` looks into, and no others: what a caller has to read."""
    names = {ADMIN_KEY.name}
    for one in resources:
        ref: SecretKeyRef | None = None
        if isinstance(one, ModelTier):
            ref = one.spec.provider.api_key_secret_ref
        elif isinstance(one, TenantBudget):
            ref = one.spec.api_key_secret_ref
        if ref is not None:
            names.add(ref.name)
    return frozenset(names)


Bad = set[tuple[str, str]]


def _pools(
    resources: Sequence[AnyResource],
    bad: Bad,
    before: FleetConfig,
    revision_of: Callable[[str, AgentPoolSpec], str],
) -> dict[str, CompiledPool]:
    pools: dict[str, CompiledPool] = {}
    for one in resources:
        if not isinstance(one, AgentPool):
            continue
        name = one.metadata.name
        deleting = one.metadata.deletion_timestamp is not None
        spec: AgentPoolSpec = one.spec
        if (one.kind, name) in bad:
            if name not in before.pools:
                continue
            spec = before.pools[name].spec.model_copy(update=_always_obeyed(one.spec))
        pools[name] = CompiledPool(spec=spec, revision=revision_of(name, spec), deleting=deleting)
    return pools


def _always_obeyed(spec: AgentPoolSpec | TenantBudgetSpec) -> dict[str, object]:
    """A pause is obeyed whatever else is wrong with the object."""
    return {"paused": spec.paused}


def _tiers(resources: Sequence[AnyResource], bad: Bad, before: FleetConfig) -> dict[str, ModelTierSpec]:
    tiers: dict[str, ModelTierSpec] = {}
    for one in resources:
        if isinstance(one, ModelTier):
            name = one.metadata.name
            spec = before.tiers.get(name) if (one.kind, name) in bad else one.spec
            if spec is not None:
                tiers[name] = spec
    return tiers


def _types(resources: Sequence[AnyResource], bad: Bad, before: FleetConfig) -> dict[str, TaskTypeSpec]:
    types: dict[str, TaskTypeSpec] = {}
    for one in resources:
        if isinstance(one, TaskType):
            name = one.metadata.name
            spec = before.task_types.get(name) if (one.kind, name) in bad else one.spec
            if spec is not None:
                types[name] = spec
    return types


def _tenants(
    resources: Sequence[AnyResource], bad: Bad, before: FleetConfig, secrets: Secrets
) -> dict[str, CompiledTenant]:
    """Keys are always those of the Secrets now: to take a key out of its Secret is to revoke it."""
    accepted: dict[str, TenantBudget] = {}
    for one in resources:
        if not isinstance(one, TenantBudget):
            continue
        tenant = one.spec.tenant
        if (one.kind, one.metadata.name) not in bad:
            accepted[tenant] = one
            continue
        kept = before.tenants.get(tenant)
        if kept is not None and kept.budget == one.metadata.name:
            spec = kept.spec.model_copy(update=_always_obeyed(one.spec))
            accepted.setdefault(tenant, one.model_copy(update={"spec": spec}))
    keys = {tenant: api_keys(one, secrets) for tenant, one in accepted.items()}
    holders = Counter(key for found in keys.values() for key in found)
    return {
        tenant: CompiledTenant(
            budget=one.metadata.name,
            spec=one.spec,
            key_hashes=sorted(key_hash(key) for key in keys[tenant] if holders[key] == 1),
        )
        for tenant, one in accepted.items()
    }


def _dangling(
    types: Mapping[str, TaskTypeSpec], pools: Mapping[str, CompiledPool], tiers: Mapping[str, ModelTierSpec]
) -> Iterator[Finding]:
    """Task types that would refer to something outside the config, with the first such field."""
    for type_name, spec in types.items():
        tier = spec.tier
        bounds = (("lowest", tier.lowest), ("default", tier.default), ("highest", tier.highest))
        wanted: list[tuple[str, str, str, Collection[str]]] = [
            ("spec.pool", "AgentPool", spec.pool, pools),
            *((f"spec.pools[{index}]", "AgentPool", pool, pools) for index, pool in enumerate(spec.pools)),
            *((f"spec.tier.{word}", "ModelTier", name, tiers) for word, name in bounds if name is not None),
        ]
        for where, kind, target, known in wanted:
            if target not in known:
                message = f"{kind} {target} is not accepted; see its condition Accepted"
                yield Finding("TaskType", type_name, where, Reason.REFERENCE_NOT_ACCEPTED, message)
                break


def _verdicts(
    resources: Sequence[AnyResource], findings: Sequence[Finding], config: FleetConfig
) -> Iterator[Verdict]:
    told: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        told.setdefault((finding.kind, finding.name), []).append(finding)
    for one in resources:
        kind, name = one.kind, one.metadata.name
        mine = told.get((kind, name), [])
        in_use = _in_use(one, config)
        if not mine:
            yield Verdict(kind, name, True, Reason.ACCEPTED, "in the fleet config as written", in_use)
            continue
        sentences = "; ".join(f"{finding.field}: {finding.message}" for finding in mine)
        kept = ". What was accepted before goes on" if in_use else ""
        yield Verdict(kind, name, False, mine[0].reason, sentences + kept, in_use)


def _in_use(one: AnyResource, config: FleetConfig) -> bool:
    if isinstance(one, AgentPool):
        return one.metadata.name in config.pools
    if isinstance(one, TaskType):
        return one.metadata.name in config.task_types
    if isinstance(one, ModelTier):
        return one.metadata.name in config.tiers
    tenant = config.tenants.get(one.spec.tenant)
    return tenant is not None and tenant.budget == one.metadata.name


def _admin_hashes(secrets: Secrets) -> list[str]:
    value = secrets.get(ADMIN_KEY.name, {}).get(ADMIN_KEY.key, b"")
    return sorted(key_hash(line.strip()) for line in value.splitlines() if line.strip())


Value = TypeVar("Value")


def _sorted(named: Mapping[str, Value]) -> dict[str, Value]:
    return dict(sorted(named.items()))
