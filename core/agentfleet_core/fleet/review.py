"""PURE. What only a view of all objects can say: references to nothing, two budgets for one tenant.

A schema and CEL rules see one object at a time and refuse it at the door. What is found here was accepted
by the API server; it becomes a condition that names the field and heals by itself. `validate` shows the
same sentences.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from agentfleet_core.api.conditions import Reason
from agentfleet_core.api.v1alpha1 import AgentPool, AnyResource, ModelTier, TaskType, TenantBudget
from agentfleet_core.api.v1alpha1.base import SecretKeyRef
from agentfleet_core.fleet.overlay import overlay_problems
from agentfleet_core.fleet.schemas import schema_problem
from agentfleet_core.fleet.templates import template_problems
from agentfleet_core.suggest import choices

Secrets = Mapping[str, Mapping[str, bytes]]
"""Secret name to key to value, of one namespace."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with one object; `field` is a path such as `spec.tier.lowest`."""

    kind: str
    name: str
    field: str
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Objects:
    """All objects of one namespace at one moment, and what the rules look up in them."""

    secrets: Secrets | None
    """None: they cannot be seen."""
    now: datetime
    names: Mapping[str, frozenset[str]]
    """By kind; with those that exist though they cannot be read."""
    ranks: Mapping[str, int]
    owners: Mapping[str, str]
    """Tenant to the name of the TenantBudget that holds: the oldest, then the first by name."""
    holders: Mapping[bytes, Sequence[TenantBudget]]
    """API key to the budgets that have it."""


def objects_of(
    resources: Sequence[AnyResource],
    secrets: Secrets | None,
    now: datetime,
    existing: Collection[tuple[str, str]],
) -> Objects:
    names: dict[str, set[str]] = {}
    for kind, name in existing:
        names.setdefault(kind, set()).add(name)
    for one in resources:
        names.setdefault(one.kind, set()).add(one.metadata.name)
    budgets = sorted(
        (one for one in resources if isinstance(one, TenantBudget)),
        key=lambda one: (one.metadata.creation_timestamp, one.metadata.name),
        reverse=True,
    )
    holders: dict[bytes, list[TenantBudget]] = {}
    for budget in budgets:
        for key in api_keys(budget, secrets):
            holders.setdefault(key, []).append(budget)
    tiers = (one for one in resources if isinstance(one, ModelTier))
    return Objects(
        secrets=secrets,
        now=now,
        names={kind: frozenset(found) for kind, found in names.items()},
        ranks={one.metadata.name: one.spec.rank for one in tiers},
        owners={one.spec.tenant: one.metadata.name for one in budgets},
        holders=holders,
    )


Problem = tuple[str, Reason, str]
"""Field, reason, message."""


def review(
    resources: Sequence[AnyResource],
    secrets: Secrets | None,
    now: datetime,
    *,
    existing: Collection[tuple[str, str]] = (),
) -> tuple[Finding, ...]:
    """Everything wrong, in the order of the objects and of their fields."""
    view = objects_of(resources, secrets, now, existing)
    return tuple(
        Finding(one.kind, one.metadata.name, where, reason, message)
        for one in resources
        for where, reason, message in _problems(one, view)
    )


def _problems(one: AnyResource, view: Objects) -> Iterator[Problem]:
    if isinstance(one, AgentPool):
        yield from _overlay(one)
    elif isinstance(one, ModelTier):
        for tier_rule in TIER_RULES:
            yield from tier_rule(one, view)
    elif isinstance(one, TaskType):
        for type_rule in TYPE_RULES:
            yield from type_rule(one, view)
    else:
        for budget_rule in BUDGET_RULES:
            yield from budget_rule(one, view)


def _overlay(pool: AgentPool) -> Iterator[Problem]:
    for path, message in overlay_problems(pool.spec.worker.pod_overlay):
        yield f"spec.worker.podOverlay{path}", Reason.FORBIDDEN_OVERLAY, message


def _provider(tier: ModelTier, view: Objects) -> Iterator[Problem]:
    provider = tier.spec.provider
    if provider.api_key_secret_ref is not None:
        yield from _secret(provider.api_key_secret_ref, "spec.provider.apiKeySecretRef", view)
    elif provider.base_url is None:
        yield (
            "spec.provider",
            Reason.PROVIDER_INCOMPLETE,
            "the provider has no key: set apiKeySecretRef, or baseUrl to a gateway that needs none",
        )


def _prices(tier: ModelTier, view: Objects) -> Iterator[Problem]:
    today = view.now.date().isoformat()
    for index, model in enumerate(tier.spec.models):
        first = min(price.effective_from for price in model.prices)
        if first > today:
            yield (
                f"spec.models[{index}].prices",
                Reason.NO_PRICE_YET,
                f"{model.name} has no price before {first}; add the price that holds today",
            )


def _pools(kind: TaskType, view: Objects) -> Iterator[Problem]:
    yield from _reference("AgentPool", kind.spec.pool, "spec.pool", view)
    for index, pool in enumerate(kind.spec.pools):
        yield from _reference("AgentPool", pool, f"spec.pools[{index}]", view)


def _tier_bounds(kind: TaskType, view: Objects) -> Iterator[Problem]:
    bounds = kind.spec.tier
    named = {"lowest": bounds.lowest, "default": bounds.default, "highest": bounds.highest}
    for word, tier in named.items():
        if tier is not None:
            yield from _reference("ModelTier", tier, f"spec.tier.{word}", view)
    known = [(word, tier, view.ranks[tier]) for word, tier in named.items() if tier and tier in view.ranks]
    for (low, low_tier, low_rank), (high, high_tier, high_rank) in pairwise(known):
        if low_rank > high_rank:
            yield (
                f"spec.tier.{low if high == 'default' else high}",
                Reason.TIER_OUT_OF_ORDER,
                f'{low} "{low_tier}" has rank {low_rank}, above {high} "{high_tier}" with rank {high_rank}; '
                f"swap them or choose others",
            )


def _schemas(kind: TaskType, view: Objects) -> Iterator[Problem]:
    for word, schema in (("inputSchema", kind.spec.input_schema), ("outputSchema", kind.spec.output_schema)):
        problem = schema_problem(schema)
        if problem is not None:
            path, message = problem
            yield f"spec.{word}{path}", Reason.INVALID_SCHEMA, message


def _templates(kind: TaskType, view: Objects) -> Iterator[Problem]:
    if kind.spec.agent is None:
        return
    for word, text in (("system", kind.spec.agent.system), ("prompt", kind.spec.agent.prompt)):
        for message in template_problems(text, kind.spec.input_schema):
            yield f"spec.agent.{word}", Reason.INVALID_TEMPLATE, message


def _one_budget_a_tenant(budget: TenantBudget, view: Objects) -> Iterator[Problem]:
    owner = view.owners[budget.spec.tenant]
    if owner != budget.metadata.name:
        yield (
            "spec.tenant",
            Reason.DUPLICATE_TENANT,
            f"TenantBudget {owner} is for tenant {budget.spec.tenant} already and holds; "
            f"merge the two or delete one",
        )


def _limits(budget: TenantBudget, view: Objects) -> Iterator[Problem]:
    for index, limit in enumerate(budget.spec.limits):
        where = f"spec.limits[{index}]"
        if not is_time_zone(limit.time_zone):
            yield (
                f"{where}.timeZone",
                Reason.UNKNOWN_TIME_ZONE,
                f'"{limit.time_zone}" is no IANA time zone; write one such as UTC or Europe/Berlin',
            )
        if limit.task_type is not None:
            yield from _reference("TaskType", limit.task_type, f"{where}.taskType", view)
        if limit.tier is not None:
            yield from _reference("ModelTier", limit.tier, f"{where}.tier", view)


def _tenant_key(budget: TenantBudget, view: Objects) -> Iterator[Problem]:
    if budget.spec.api_key_secret_ref is not None:
        yield from _secret(budget.spec.api_key_secret_ref, "spec.apiKeySecretRef", view)


def _key_of_its_own(budget: TenantBudget, view: Objects) -> Iterator[Problem]:
    """Each of those that share a key is told of another."""
    for key in sorted(api_keys(budget, view.secrets)):
        other = next((one for one in view.holders[key] if one.spec.tenant != budget.spec.tenant), None)
        if other is not None:
            yield (
                "spec.apiKeySecretRef",
                Reason.KEY_SHARED,
                f"TenantBudget {other.metadata.name} has the same API key; give each tenant a key of its own",
            )
            return


TIER_RULES: tuple[Callable[[ModelTier, Objects], Iterator[Problem]], ...] = (_provider, _prices)
TYPE_RULES: tuple[Callable[[TaskType, Objects], Iterator[Problem]], ...] = (
    _pools,
    _tier_bounds,
    _schemas,
    _templates,
)
BUDGET_RULES: tuple[Callable[[TenantBudget, Objects], Iterator[Problem]], ...] = (
    _one_budget_a_tenant,
    _limits,
    _tenant_key,
    _key_of_its_own,
)


def _reference(kind: str, name: str, where: str, view: Objects) -> Iterator[Problem]:
    known = view.names.get(kind, frozenset())
    if name not in known:
        yield where, Reason.REFERENCE_NOT_FOUND, f'"{name}" names no {kind}; {choices(name, known)}'


def _secret(ref: SecretKeyRef, where: str, view: Objects) -> Iterator[Problem]:
    if view.secrets is None:
        return
    secret = view.secrets.get(ref.name)
    if secret is None:
        yield (
            f"{where}.name",
            Reason.SECRET_NOT_FOUND,
            f'"{ref.name}" names no Secret; {choices(ref.name, view.secrets)}',
        )
    elif not secret.get(ref.key, b"").strip():
        filled = [key for key, value in secret.items() if value.strip()]
        yield (
            f"{where}.key",
            Reason.SECRET_NOT_FOUND,
            f'Secret {ref.name} has nothing under "{ref.key}"; {choices(ref.key, filled)}',
        )


def api_keys(budget: TenantBudget, secrets: Secrets | None) -> frozenset[bytes]:
    """The tenant's keys: each line of the Secret's value is one, so a key can be changed without a gap."""
    ref = budget.spec.api_key_secret_ref
    if ref is None or secrets is None:
        return frozenset()
    value = secrets.get(ref.name, {}).get(ref.key, b"")
    return frozenset(line.strip() for line in value.splitlines() if line.strip())


@cache
def is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return False
    return True
