"""PURE. Which limits bound a call, and the window of each that holds now.

A window is half open: it begins at its local midnight, month or hour and ends where the next begins, so none
overlap and none are missed, whatever the time zone does at night. Time zones are why this is Python, not Lua.
What was spent is counted under the limit's name and its window's start: a changed amount keeps it, a renamed
limit or one of another period or zone starts at zero.
"""

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Literal, assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agentfleet_core.api.v1alpha1.tenant_budget import Limit, Period, TenantBudgetSpec
from agentfleet_core.budget.limits import LimitWindow
from agentfleet_core.budget.money import nano_usd
from agentfleet_core.errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_MORE_THAN_A_MONTH = timedelta(days=32)
_MILLISECOND = timedelta(milliseconds=1)


def limit_windows(
    spec: TenantBudgetSpec, *, task_type: str, tier: str, now: datetime
) -> tuple[LimitWindow, ...]:
    """The windows of all limits that a call of `task_type` on `tier` counts against; `now` is tz-aware.

    Raises `InvalidInput` for an unknown time zone: a limit that cannot be placed must not be skipped.
    """
    return tuple(window_of(limit, now) for limit in spec.limits if limit.counts(task_type, tier))


def all_windows(spec: TenantBudgetSpec, now: datetime) -> tuple[LimitWindow, ...]:
    """Every limit's window now, for those who show balances."""
    return tuple(window_of(limit, now) for limit in spec.limits)


def limits_digest(spec: TenantBudgetSpec) -> str:
    """Names the limits: the same in every release that knows the fields they use."""
    limits = spec.model_dump_json(include={"limits"}, exclude_defaults=True)
    return hashlib.sha1(limits.encode(), usedforsecurity=False).hexdigest()[:16]


def window_of(limit: Limit, now: datetime) -> LimitWindow:
    """The window of one limit that contains `now`."""
    amount = nano_usd(limit.amount)
    if limit.period is Period.TOTAL:
        return LimitWindow(limit.name, amount, 0, 0)
    zone = _zone(limit.time_zone)
    local = now.astimezone(zone)
    if limit.period is Period.HOUR:
        past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        start = now.astimezone(UTC) - past
        return LimitWindow(limit.name, amount, _ms(start), _ms(start + _HOUR))
    first, after = _dates(limit.period, local.date())
    return LimitWindow(limit.name, amount, _ms(_midnight(first, zone)), _ms(_midnight(after, zone)))


def _dates(period: Literal[Period.DAY, Period.MONTH], today: date) -> tuple[date, date]:
    match period:
        case Period.DAY:
            return today, today + _DAY
        case Period.MONTH:
            first = today.replace(day=1)
            return first, (first + _MORE_THAN_A_MONTH).replace(day=1)
        case _:
            assert_never(period)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local day.

    Fold 0 (the default) makes a midnight that a clock change skips the change itself, and takes the first of
    one that comes twice.
    """
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(f'"{name}" is no time zone; give an IANA name such as "Europe/Berlin"') from error


def _ms(instant: datetime) -> int:
    return (instant.astimezone(UTC) - _EPOCH) // _MILLISECOND
