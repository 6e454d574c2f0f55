"""PURE. What the demo can cost at most with a real provider: what its budgets allow."""

from collections.abc import Sequence

from agentfleet_cli.views.words import dollars
from agentfleet_core.api.v1alpha1 import AnyResource, TenantBudget
from agentfleet_core.budget.money import nano_usd


def worst_case(resources: Sequence[AnyResource]) -> int | None:
    """Nano-USD: the sum of each tenant's smallest overall limit; None when a tenant has none."""
    total = 0
    for one in resources:
        if isinstance(one, TenantBudget):
            whole = [
                nano_usd(limit.amount) for limit in one.spec.limits if not limit.task_type and not limit.tier
            ]
            if not whole:
                return None
            total += min(whole)
    return total


def question(worst_nano_usd: int | None) -> str:
    cap = (
        "without a bound: a tenant has no limit"
        if worst_nano_usd is None
        else f"at most {dollars(worst_nano_usd, digits=2)}"
    )
    return (
        f"ANTHROPIC_API_KEY is set. With the real API the demo costs {cap},\n"
        "which the budgets of the example enforce; the simulated provider costs nothing.\n"
        "Use the real API? [y/N] "
    )
