"""PURE. A tenant's balances as the status of its TenantBudget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from agentfleet_core.api.conditions import ConditionType, Reason, timestamp
from agentfleet_core.api.v1alpha1 import Period, TenantBudgetSpec
from agentfleet_core.api.v1alpha1.tenant_budget import Limit, Phase
from agentfleet_core.budget.limits import Balance
from agentfleet_core.budget.money import decimal_usd, usd
from agentfleet_core.fleet.compile import Verdict
from agentfleet_operator.status import Conditions, Status, accept, in_use

PERIOD_WORDS = {Period.HOUR: "/hour", Period.DAY: "/day", Period.MONTH: "/month", Period.TOTAL: " in all"}
SHOWN_NANO = 1_000_000
"""Balances are shown in tenths of a cent: a busy tenant's status changes often enough."""


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    generation: int
    spec: TenantBudgetSpec | None
    verdict: Verdict | None
    problem: str
    balances: Sequence[Balance] | None
    """One per limit, in their order; None: they could not be read."""
    waiting: int
    """Tasks that wait because no budget admits them."""
    paused_by: str
    """A switch that pauses the tenant; empty when none does."""
    now: datetime


def budget_status(facts: BudgetFacts, before: Mapping[str, Any]) -> Status:
    conditions = Conditions(before, facts.generation, facts.now)
    accept(conditions, facts.verdict, facts.problem)
    in_use(conditions, facts.verdict, facts.problem)
    _paused(conditions, facts)
    _exhausted(conditions, facts)
    figures = _kept(before) if facts.balances is None or facts.spec is None else _figures(facts)
    phase = _phase(facts)
    return {
        "observedGeneration": facts.generation,
        **({"phase": phase.value} if phase is not None else {}),
        **figures,
        "conditions": conditions.dump(),
    }


def _kept(before: Mapping[str, Any]) -> Status:
    return {key: before[key] for key in ("spent", "held", "limit", "resets", "limits") if key in before}


def _figures(facts: BudgetFacts) -> Status:
    spec, balances = facts.spec, facts.balances
    if spec is None or not balances:
        return {"limits": []}
    limits = dict(zip((one.name for one in spec.limits), spec.limits, strict=True))
    tightest = min(balances, key=lambda one: one.remaining / one.limit.amount if one.limit.amount else 0)
    limit = limits[tightest.limit.name]
    return {
        "spent": usd(_rounded(tightest.spent)),
        "held": usd(_rounded(tightest.held)),
        "limit": f"{usd(tightest.limit.amount)}{PERIOD_WORDS[limit.period]}",
        "resets": _resets(limit, tightest),
        "limits": [_limit(balance) for balance in balances],
    }


def _limit(balance: Balance) -> Status:
    status: Status = {
        "name": balance.limit.name,
        "spent": decimal_usd(_rounded(balance.spent)),
        "held": decimal_usd(_rounded(balance.held)),
        "unconfirmed": decimal_usd(_rounded(balance.unconfirmed)),
        "remaining": decimal_usd(_rounded(balance.remaining)),
    }
    if balance.limit.end_ms:
        status["resetsAt"] = timestamp(datetime.fromtimestamp(balance.limit.end_ms / 1_000, UTC))
    return status


def _rounded(nano: int) -> int:
    return nano // SHOWN_NANO * SHOWN_NANO


def _resets(limit: Limit, balance: Balance) -> str:
    """A string, since kubectl shows a date in the future as invalid; it does not change until the window
    does.
    """
    if not balance.limit.end_ms:
        return "never"
    end = datetime.fromtimestamp(balance.limit.end_ms / 1_000, UTC).astimezone(ZoneInfo(limit.time_zone))
    day = f"{end:%Y-%m-%d} " if limit.period is Period.MONTH else ""
    return f"{day}{end:%H:%M} {limit.time_zone}"


def _phase(facts: BudgetFacts) -> Phase | None:
    if (facts.spec is not None and facts.spec.paused) or facts.paused_by:
        return Phase.PAUSED
    if facts.balances is None:
        return None
    return Phase.EXHAUSTED if _spent_limit(facts) or facts.waiting else Phase.NORMAL


def _spent_limit(facts: BudgetFacts) -> Balance | None:
    return next((one for one in facts.balances or () if one.spent >= one.limit.amount), None)


def _exhausted(conditions: Conditions, facts: BudgetFacts) -> None:
    spent = _spent_limit(facts)
    if facts.balances is None:
        text = "the ledger could not be read"
        conditions.set(ConditionType.EXHAUSTED, None, Reason.NOT_OBSERVED, text)
    elif spent is not None:
        text = f"{usd(spent.spent)} of {usd(spent.limit.amount)} are spent for {spent.limit.name}"
        conditions.set(ConditionType.EXHAUSTED, True, Reason.LIMIT_REACHED, text)
    elif facts.waiting:
        text = "a call was refused which no open hold could make room for; tasks wait for the next window"
        conditions.set(ConditionType.EXHAUSTED, True, Reason.LIMIT_REACHED, text)
    else:
        conditions.set(ConditionType.EXHAUSTED, False, Reason.WITHIN_LIMITS, "every limit has room")


def _paused(conditions: Conditions, facts: BudgetFacts) -> None:
    if facts.spec is not None and facts.spec.paused:
        conditions.set(ConditionType.PAUSED, True, Reason.PAUSED_BY_SPEC, "spec.paused is true")
    elif facts.paused_by:
        text = f"{facts.paused_by} is paused by hand"
        conditions.set(ConditionType.PAUSED, True, Reason.PAUSED_BY_SWITCH, text)
    else:
        conditions.set(ConditionType.PAUSED, False, Reason.RUNNING, "nothing stops it")
