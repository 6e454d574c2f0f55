"""Whether a tenant's budget admits a task now: for who would rather be refused than wait (`mode=reject`).

Only what no open hold could free counts as spent. The worker's reserve decides about money; this only
spares a client the wait, so it refuses nothing that a reserve would still admit.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from agentfleet_coordinator.catalog import Catalog, Offer
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import Balance
from agentfleet_core.budget.money import usd
from agentfleet_core.budget.prices import rates_of
from agentfleet_core.budget.standing import refusing, tightest
from agentfleet_core.budget.windows import limit_windows
from agentfleet_core.errors import AgentfleetError, BudgetExhausted
from agentfleet_core.fleet.config import CompiledTenant
from agentfleet_core.fleet.templates import PLACE
from agentfleet_core.providers.registry import PROVIDERS
from agentfleet_core.queue.envelope import Envelope
from agentfleet_core.queue.streams import PoolQueue


async def budget_refusal(
    ledger: RedisLedger, queue: PoolQueue, catalog: Catalog, offer: Offer, envelope: Envelope, now: datetime
) -> BudgetExhausted | None:
    """The limit that admits no such call now, with what is left and when it resets; None when all do.

    A tenant that is blocked in the pool is refused by the limit that its block waits for.
    """
    tenant = catalog.config.tenants[envelope.tenant]
    windows = limit_windows(tenant.spec, task_type=envelope.type, tier=envelope.tier, now=now)
    need = first_call_cost(catalog, offer, envelope, now)
    balances = await ledger.balances(envelope.tenant, windows)
    found = refusing(balances, need)
    if found is not None:
        return exhausted(tenant, found, need)
    block = await queue.block_of(envelope.tenant)
    if block is None or 0 < block.until_ms <= now.timestamp() * 1000:
        return None
    blocking = next((one for one in balances if one.limit.name == block.limit), tightest(balances))
    return None if blocking is None else exhausted(tenant, blocking, None)


def first_call_cost(catalog: Catalog, offer: Offer, envelope: Envelope, now: datetime) -> int:
    """PURE. Nano-USD that the first call must at least be able to hold; 1 where that cannot be known here."""
    agent = offer.spec.agent
    tier = catalog.tiers.get(envelope.tier)
    if agent is None or tier is None:
        return 1
    request = {"max_tokens": agent.max_output_tokens, "messages": []}
    try:
        prompt = PLACE.sub("", f"{agent.system}{agent.prompt}").encode()  # what fills a place may be short
        rates = rates_of(tier.models[0], now)
        # A worker asks the provider for the prompt's tokens before it lets a task wait: as few as can be.
        return max(1, PROVIDERS[tier.provider.type].worst_cost(request, prompt, rates, counted=0))
    except AgentfleetError:
        return 1


def exhausted(tenant: CompiledTenant, balance: Balance, need: int | None) -> BudgetExhausted:
    """PURE. The sentence says what to change. `need` None: a running task's call was refused already."""
    limit = balance.limit
    index, spec = next((i, each) for i, each in enumerate(tenant.spec.limits) if each.name == limit.name)
    zone = "" if spec.time_zone == "UTC" else f" ({spec.time_zone})"
    left = max(0, limit.amount - balance.spent)
    also = ""
    if left:
        also = (
            ", and a call does not fit the rest" if need is None else f", and one call may cost {usd(need)}"
        )
    resets = datetime.fromtimestamp(limit.end_ms / 1000, ZoneInfo(spec.time_zone)) if limit.end_ms else None
    when = "It never resets." if resets is None else f"It resets at {resets.isoformat()}."
    return BudgetExhausted(
        f"Tenant {tenant.spec.tenant} has spent {usd(balance.spent)} of {usd(limit.amount)} for "
        f"{spec.period}{zone}{also}. {when} "
        f"Raise limits[{index}].amount of TenantBudget {tenant.budget}, or submit with mode=defer.",
        tenant=tenant.spec.tenant,
        limit=limit.name,
        resets_at=resets,
    )
