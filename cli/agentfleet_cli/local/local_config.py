"""PURE. What differs between files on a laptop and objects in a cluster: the provider, and who holds keys.

Nothing else may be changed here: the rest of a manifest means the same in both places.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agentfleet_core.api.v1alpha1 import AnyResource, ModelTier, TenantBudget
from agentfleet_core.api.v1alpha1.base import SecretKeyRef
from agentfleet_core.fleet.compile import ADMIN_KEY

PROVIDER_KEY = SecretKeyRef(name="anthropic", key="api-key")
SIMULATED_KEY = b"simulated"
Secrets = Mapping[str, Mapping[str, bytes]]


@dataclass(frozen=True, slots=True)
class LocalFleetConfig:
    resources: tuple[AnyResource, ...]
    secrets: dict[str, dict[str, bytes]]
    provider_secrets: frozenset[str]
    """Names of the Secrets that workers need."""
    tenant_keys: dict[str, str]
    admin_key: str


def localize(
    resources: Sequence[AnyResource],
    given: Secrets,
    *,
    simulator_url: str | None,
    provider_key: str,
    new_key: Callable[[str], str],
) -> LocalFleetConfig:
    """Tiers point at the simulator, if there is one; keys that no Secret gives are made by `new_key`."""
    secrets = {name: dict(values) for name, values in given.items()}
    found: list[AnyResource] = []
    provider_secrets: set[str] = set()
    tenant_keys: dict[str, str] = {}
    for one in resources:
        if isinstance(one, ModelTier):
            tier, ref = _tier(one, simulator_url)
            if simulator_url is not None:
                secrets.setdefault(ref.name, {})[ref.key] = SIMULATED_KEY
            else:
                secrets.setdefault(ref.name, {}).setdefault(ref.key, provider_key.encode())
            provider_secrets.add(ref.name)
            found.append(tier)
        elif isinstance(one, TenantBudget):
            budget, ref = _budget(one)
            values = secrets.setdefault(ref.name, {})
            key = values.setdefault(ref.key, new_key(one.spec.tenant).encode())
            tenant_keys[one.spec.tenant] = key.split()[0].decode()
            found.append(budget)
        else:
            found.append(one)
    admin = secrets.setdefault(ADMIN_KEY.name, {}).setdefault(ADMIN_KEY.key, new_key("admin").encode())
    return LocalFleetConfig(
        tuple(found), secrets, frozenset(provider_secrets), tenant_keys, admin.split()[0].decode()
    )


def _tier(tier: ModelTier, simulator_url: str | None) -> tuple[ModelTier, SecretKeyRef]:
    provider = tier.spec.provider
    ref = provider.api_key_secret_ref or PROVIDER_KEY
    change: dict[str, object] = {"api_key_secret_ref": ref}
    if simulator_url is not None:
        change["base_url"] = simulator_url
    spec = tier.spec.model_copy(update={"provider": provider.model_copy(update=change)})
    return tier.model_copy(update={"spec": spec}), ref


def _budget(budget: TenantBudget) -> tuple[TenantBudget, SecretKeyRef]:
    ref = budget.spec.api_key_secret_ref or SecretKeyRef(name=f"{budget.spec.tenant}-key"[:63])
    spec = budget.spec.model_copy(update={"api_key_secret_ref": ref})
    return budget.model_copy(update={"spec": spec}), ref
