"""A condition moves when what it says moves, and stays the same object to the last byte when it does not."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from agentfleet_core.api.conditions import Reason, set_condition, timestamp

NOON = datetime(2026, 11, 24, 12, 0, 0, 900_000, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)


def test_the_first_visit_writes_it_even_as_unknown() -> None:
    (one,) = set_condition((), "Ready", "Unknown", Reason.NOT_OBSERVED, "", observed_generation=1, now=NOON)
    assert (one.status, one.reason, one.last_transition_time) == (
        "Unknown",
        "NotObserved",
        "2026-11-24T12:00:00Z",
    )


def test_nothing_but_the_clock_moved_so_nothing_is_written() -> None:
    before = set_condition((), "Ready", "True", "WorkersReady", "3 of 3", observed_generation=1, now=NOON)
    after = set_condition(before, "Ready", "True", "WorkersReady", "3 of 3", observed_generation=1, now=LATER)
    assert after == before


def test_another_reason_keeps_the_transition_time_another_status_moves_it() -> None:
    before = set_condition((), "Ready", "False", "WorkersStarting", "", observed_generation=1, now=NOON)
    reworded = set_condition(before, "Ready", "False", "Paused", "", observed_generation=2, now=LATER)
    assert (reworded[0].last_transition_time, reworded[0].observed_generation) == ("2026-11-24T12:00:00Z", 2)
    turned = set_condition(before, "Ready", "True", "WorkersReady", "", observed_generation=2, now=LATER)
    assert turned[0].last_transition_time == "2026-11-24T12:05:00Z"


def test_the_others_stay_in_their_places() -> None:
    conditions = set_condition((), "Accepted", "True", "Accepted", "", observed_generation=1, now=NOON)
    conditions = set_condition(
        conditions, "Ready", "True", "WorkersReady", "", observed_generation=1, now=NOON
    )
    conditions = set_condition(
        conditions, "Accepted", "False", "NoPriceYet", "", observed_generation=2, now=LATER
    )
    assert [(one.type, one.status, one.reason) for one in conditions] == [
        ("Accepted", "False", "NoPriceYet"),
        ("Ready", "True", "WorkersReady"),
    ]


def test_times_are_utc_whole_seconds_and_never_naive() -> None:
    berlin = datetime(2026, 11, 24, 13, tzinfo=timezone(timedelta(hours=1)))
    assert timestamp(berlin) == "2026-11-24T12:00:00Z"
    with pytest.raises(ValueError, match="time zone"):
        timestamp(datetime(2026, 11, 24))  # noqa: DTZ001 - a naive one is what is refused
    assert all(reason.value.isalnum() for reason in Reason)
