"""PURE. How a tenant stands: its phase, the limit that matters, when that begins anew, and the sentences for
it. kubectl, the API, the screen and a refused submit only render what is decided here.

Exhausted means: a call was refused which no open hold could make room for, or would be, however small.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from agentfleet_core.api.conditions import Reason
from agentfleet_core.api.v1alpha1.tenant_budget import Limit, Period, Phase, TenantBudgetSpec
from agentfleet_core.budget.limits import Balance, LimitWindow
from agentfleet_core.budget.money import usd
from agentfleet_core.budget.windows import window_of
from agentfleet_core.fleet.pauses import Pause
from agentfleet_core.queue.envelope import Block


@dataclass(frozen=True, slots=True)
class Money:
    """Whether the limits let the tenant go on, whatever is paused."""

    exhausted: bool | None
    """None: the ledger could not be read."""
    reason: Reason
    sentence: str


@dataclass(frozen=True, slots=True)
class Standing:
    phase: Phase
    reason: Reason
    sentence: str
    """Why the phase is what it is, for people."""
    money: Money
    limit: Balance | None
    """The limit that matters: of the smallest share left; None without limits or without the ledger."""
    resets: str
    """When that limit begins anew, as `resets_at` says it; empty without one."""
    waiting: int
    """Tasks that no budget admits now."""


def standing(
    spec: TenantBudgetSpec | None, balances: Sequence[Balance] | None, *, waiting: int, pause: Pause | None
) -> Standing:
    """How the tenant stands.

    `spec` None: no budget can be read. `balances` None: the ledger could not be read; one of a limit that the
    spec no longer has counts for nothing. `waiting`: tasks that wait because no budget admits them. `pause`:
    what pauses the tenant.
    """
    limits = {} if spec is None else {one.name: one for one in spec.limits}
    if balances is not None:
        balances = [one for one in balances if one.limit.name in limits]
    limit = None if balances is None else tightest(balances)
    resets = "" if limit is None else resets_at(limits[limit.limit.name], limit.limit)
    money = _money(balances, waiting, resets)
    if pause is not None:
        return Standing(Phase.PAUSED, pause.reason, pause.sentence, money, limit, resets, waiting)
    phase = {None: Phase.UNKNOWN, True: Phase.EXHAUSTED, False: Phase.NORMAL}[money.exhausted]
    return Standing(phase, money.reason, money.sentence, money, limit, resets, waiting)


def tightest(balances: Iterable[Balance]) -> Balance | None:
    """The limit with the smallest share of its amount left to hold."""
    return min(
        balances, key=lambda one: one.remaining / one.limit.amount if one.limit.amount else 0, default=None
    )


def refusing(balances: Iterable[Balance], need: int = 1) -> Balance | None:
    """The first limit that has not so many nano-USD left even when every open hold is given back."""
    return next((one for one in balances if one.limit.amount - one.spent < need), None)


def limit_of(spec: TenantBudgetSpec, name: str) -> Limit:
    return next(one for one in spec.limits if one.name == name)


def blocking_words(spec: TenantBudgetSpec, block: Block, now: datetime) -> str:
    """The limit for which a blocked tenant waits: `day limit resets 00:00 UTC`; empty when that was changed
    meanwhile, so that its window does not end with the block.
    """
    for limit in spec.limits:
        window = window_of(limit, now)
        if limit.name == block.limit and window.end_ms == block.until_ms:
            resets = resets_at(limit, window)
            return f"{limit.name} limit {'never resets' if resets == 'never' else f'resets {resets}'}"
    return ""


def spent_words(limit: str, spent: int, amount: int) -> str:
    """`$5.00 of $5.00 are spent for day`."""
    return f"{usd(spent)} of {usd(amount)} are spent for {limit}"


def amount_words(period: Period, amount: int) -> str:
    """`$5.00/day`, `$100.00 in all`."""
    match period:
        case Period.HOUR:
            return f"{usd(amount)}/hour"
        case Period.DAY:
            return f"{usd(amount)}/day"
        case Period.MONTH:
            return f"{usd(amount)}/month"
        case Period.TOTAL:
            return f"{usd(amount)} in all"
        case _:
            assert_never(period)


def resets_at(limit: Limit, window: LimitWindow) -> str:
    """On the limit's own clock, the same text until the window ends: `00:00 UTC`, of a month
    `2026-12-01 00:00 Europe/Berlin`, of a Total `never`.
    """
    end = datetime.fromtimestamp(window.end_ms / 1_000, UTC).astimezone(ZoneInfo(limit.time_zone))
    match limit.period:
        case Period.HOUR | Period.DAY:
            return f"{end:%H:%M} {limit.time_zone}"
        case Period.MONTH:
            return f"{end:%Y-%m-%d %H:%M} {limit.time_zone}"
        case Period.TOTAL:
            return "never"
        case _:
            assert_never(limit.period)


def _money(balances: Sequence[Balance] | None, waiting: int, resets: str) -> Money:
    if balances is None:
        return Money(None, Reason.NOT_OBSERVED, "the ledger could not be read")
    spent = refusing(balances)
    if not waiting and spent is None:
        return Money(False, Reason.WITHIN_LIMITS, "every limit has room")
    facts: list[str] = []
    if waiting:
        until = f"until {resets}" if resets not in ("", "never") else "for a higher limit"
        facts.append(f"1 task waits {until}" if waiting == 1 else f"{waiting:,} tasks wait {until}")
    if spent is not None:
        facts.append(spent_words(spent.limit.name, spent.spent, spent.limit.amount))
    elif (least := tightest(balances)) is not None:
        facts.append(f"a call may cost more than the {usd(least.remaining)} left of {least.limit.name}")
    return Money(True, Reason.LIMIT_REACHED, "; ".join(facts))
