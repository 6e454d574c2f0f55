"""PURE. A tenant's balances as the status of its TenantBudget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agentfleet_core.api.conditions import ConditionType, timestamp
from agentfleet_core.api.v1alpha1 import TenantBudgetSpec
from agentfleet_core.budget.limits import Balance
from agentfleet_core.budget.money import decimal_usd, usd
from agentfleet_core.budget.standing import Standing, amount_words, limit_of, standing
from agentfleet_core.fleet.compile import Verdict
from agentfleet_core.fleet.pauses import Pause
from agentfleet_operator.status import Conditions, Status, accept, in_use, paused

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
    pause: Pause | None
    """What pauses the tenant."""
    now: datetime


def budget_status(facts: BudgetFacts, before: Mapping[str, Any]) -> Status:
    conditions = Conditions(before, facts.generation, facts.now)
    accept(conditions, facts.verdict, facts.problem)
    in_use(conditions, facts.verdict, facts.problem)
    paused(conditions, facts.pause)
    stands = standing(facts.spec, facts.balances, waiting=facts.waiting, pause=facts.pause)
    money = stands.money
    conditions.set(ConditionType.EXHAUSTED, money.exhausted, money.reason, money.sentence)
    used = facts.verdict is not None and facts.verdict.in_use
    if facts.spec is None or facts.balances is None:
        figures = _kept(before)
    else:
        figures = _figures(facts.spec, facts.balances, stands)
    return {
        "observedGeneration": facts.generation,
        **({"phase": stands.phase.value} if used else {}),
        **figures,
        "conditions": conditions.dump(),
    }


def _kept(before: Mapping[str, Any]) -> Status:
    return {key: before[key] for key in ("spent", "held", "limit", "resets", "limits") if key in before}


def _figures(spec: TenantBudgetSpec, balances: Sequence[Balance], stands: Standing) -> Status:
    tightest = stands.limit
    if tightest is None:
        return {"limits": []}
    return {
        "spent": usd(_rounded(tightest.spent)),
        "held": usd(_rounded(tightest.held)),
        "limit": amount_words(limit_of(spec, tightest.limit.name).period, tightest.limit.amount),
        "resets": stands.resets,
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
