"""Whether a tenant's budget admits a task now: for who would rather be refused than wait (`mode=reject`).

Only what no open hold could free counts as spent. The worker's reserve decides about money; this only
spares a client the wait, so it refuses nothing that a reserve would still admit.
"""

from datetime import datetime

from agentfleet_coordinator.catalog import Catalog, Offer
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import Balance
from agentfleet_core.budget.money import usd
from agentfleet_core.budget.prices import rates_of
from agentfleet_core.budget.standing import refusing, resets_at
from agentfleet_core.budget.windows import limit_windows
from agentfleet_core.errors import AgentfleetError, BudgetExhausted
from agentfleet_core.fleet.config import CompiledTenant
from agentfleet_core.providers.registry import PROVIDERS
from agentfleet_core.queue.envelope import Envelope


async def budget_refusal(
    ledger: RedisLedger, catalog: Catalog, offer: Offer, envelope: Envelope, now: datetime
) -> BudgetExhausted | None:
    """The limit that admits no such call now, with what is left and when it resets; None when all do."""
    tenant = catalog.config.tenants[envelope.tenant]
    windows = limit_windows(tenant.spec, task_type=envelope.type, tier=envelope.tier, now=now)
    need = first_call_cost(catalog, offer, envelope, now)
    found = refusing(await ledger.balances(envelope.tenant, windows), need)
    return None if found is None else exhausted(tenant, found, need)


def first_call_cost(catalog: Catalog, offer: Offer, envelope: Envelope, now: datetime) -> int:
    """PURE. Nano-USD that the first call must at least be able to hold; 1 where that cannot be known here."""
    agent = offer.spec.agent
    tier = catalog.tiers.get(envelope.tier)
    if agent is None or tier is None:
        return 1
    request = {"max_tokens": agent.max_output_tokens, "messages": []}
    try:
        prompt = f"{agent.system}{agent.prompt}".encode()
        rates = rates_of(tier.models[0], now)
        return max(1, PROVIDERS[tier.provider.type].worst_cost(request, prompt, rates))
    except AgentfleetError:
        return 1


def exhausted(tenant: CompiledTenant, balance: Balance, need: int) -> BudgetExhausted:
    """PURE. The sentence says what to change."""
    limit = balance.limit
    index, spec = next((i, each) for i, each in enumerate(tenant.spec.limits) if each.name == limit.name)
    zone = "" if spec.time_zone == "UTC" else f" ({spec.time_zone})"
    left = max(0, limit.amount - balance.spent)
    also = f", and one call may cost {usd(need)}" if left and need > left else ""
    resets = resets_at(spec, limit)
    when = "It never resets." if resets == "never" else f"It resets at {resets}."
    return BudgetExhausted(
        f"Tenant {tenant.spec.tenant} has spent {usd(balance.spent)} of {usd(limit.amount)} for "
        f"{spec.period}{zone}{also}. {when} "
        f"Raise limits[{index}].amount of TenantBudget {tenant.budget}, or submit with mode=defer.",
        tenant=tenant.spec.tenant,
        limit=limit.name,
        resets_at_ms=limit.end_ms or None,
    )
