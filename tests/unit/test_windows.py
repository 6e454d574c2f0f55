"""Windows of a limit: none overlap, none are missed, whatever the clocks do at night."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentfleet_core.api.v1alpha1.tenant_budget import Limit, Period, TenantBudgetSpec
from agentfleet_core.budget.windows import all_windows, limit_windows, window_of
from agentfleet_core.errors import InvalidInput

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Havana",
    "Africa/Cairo",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Pacific/Apia",
]


def limit(period: Period, zone: str = "UTC", name: str = "cap", **scope: str) -> Limit:
    return Limit(name=name, period=period, amount="5.00", time_zone=zone, **scope)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("period", "zone", "now", "start", "end"),
    [
        (Period.HOUR, "UTC", "2026-11-24T14:25:31+00:00", "2026-11-24T14:00+00:00", "2026-11-24T15:00+00:00"),
        (
            Period.HOUR,
            "Asia/Kathmandu",
            "2026-11-24T14:25+00:00",
            "2026-11-24T14:15+00:00",
            "2026-11-24T15:15+00:00",
        ),
        (
            Period.DAY,
            "Europe/Berlin",
            "2026-11-24T23:30+00:00",
            "2026-11-25T00:00+01:00",
            "2026-11-26T00:00+01:00",
        ),
        (
            Period.DAY,
            "Europe/Berlin",
            "2026-10-25T12:00+00:00",
            "2026-10-25T00:00+02:00",
            "2026-10-26T00:00+01:00",
        ),
        (
            Period.DAY,
            "America/Havana",
            "2024-03-10T16:00+00:00",
            "2024-03-10T05:00+00:00",
            "2024-03-11T04:00+00:00",
        ),
        (
            Period.MONTH,
            "UTC",
            "2026-12-31T23:59:59+00:00",
            "2026-12-01T00:00+00:00",
            "2027-01-01T00:00+00:00",
        ),
        (
            Period.MONTH,
            "Europe/Berlin",
            "2026-02-28T23:30+00:00",
            "2026-03-01T00:00+01:00",
            "2026-04-01T00:00+02:00",
        ),
    ],
)
def test_a_window_begins_and_ends_by_the_local_clock(
    period: Period, zone: str, now: str, start: str, end: str
) -> None:
    window = window_of(limit(period, zone), datetime.fromisoformat(now))
    assert (window.start_ms, window.end_ms) == (ms(start), ms(end))


@given(
    st.integers(1_577_836_800, 1_893_456_000).map(lambda second: datetime.fromtimestamp(second, UTC)),
    st.sampled_from(ZONES),
    st.sampled_from([Period.DAY, Period.MONTH]),
)
def test_each_instant_is_in_its_window_and_the_next_begins_where_it_ends(
    now: datetime, zone: str, period: Period
) -> None:
    window = window_of(limit(period, zone), now)
    assert window.start_ms <= now.timestamp() * 1000 < window.end_ms
    end = datetime.fromtimestamp(window.end_ms / 1000, UTC)
    following = window_of(limit(period, zone), end)
    assert following.start_ms == window.end_ms
    assert window_of(limit(period, zone), end - timedelta(milliseconds=1)) == window


def test_a_total_has_no_window() -> None:
    window = window_of(limit(Period.TOTAL), datetime(2026, 1, 1, tzinfo=UTC))
    assert (window.start_ms, window.end_ms, window.key) == (0, 0, "cap:0")


def test_a_call_counts_against_each_limit_that_names_its_type_or_tier_or_neither() -> None:
    spec = TenantBudgetSpec(
        tenant="acme",
        limits=[
            limit(Period.DAY, name="day"),
            limit(Period.MONTH, name="research", task_type="research"),
            limit(Period.HOUR, name="dear", tier="powerful"),
        ],
    )
    now = datetime(2026, 11, 24, tzinfo=UTC)
    names = {window.name for window in limit_windows(spec, task_type="refund", tier="powerful", now=now)}
    assert names == {"day", "dear"}
    elsewhere = limit_windows(spec, task_type="research", tier="fast", now=now)
    assert {window.name for window in elsewhere} == {"day", "research"}
    assert {window.name for window in all_windows(spec, now)} == {"day", "research", "dear"}


def test_a_limit_that_cannot_be_placed_is_refused_not_skipped() -> None:
    with pytest.raises(InvalidInput, match="no time zone"):
        window_of(limit(Period.DAY, "Mars/Olympus"), datetime(2026, 1, 1, tzinfo=UTC))
