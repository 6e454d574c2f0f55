"""From growing counters to the recent past."""

from dataclasses import replace

import pytest

from agentfleet_core.autoscaler.history import KEPT_BUCKETS, PoolHistory, observe
from agentfleet_core.autoscaler.ports import PoolObservation
from agentfleet_core.autoscaler.state import StartTimes
from agentfleet_core.queue.envelope import PoolCounters

NONE = PoolCounters(
    waiting=0, blocked=0, running=0, parked=0, due=0, orphaned=0, oldest_waiting_ms=0, next_due_ms=0,
    admitted_total=0, started_total=0, ended_total=0, busy_ms_total=0, wait_ms_total=0, spent_total=0,
    now_ms=1_000_000,
)  # fmt: skip


def follow(*readings: PoolCounters) -> PoolHistory:
    history = PoolHistory()
    for reading in readings:
        history = observe(history, reading)
    return history


def test_arrivals_follow_from_what_was_claimed_and_what_can_be_claimed() -> None:
    seen = follow(NONE, replace(NONE, now_ms=1_000_200, waiting=3, running=2, started_total=2))

    assert [(bucket.arrivals, bucket.started) for bucket in seen.buckets] == [(5, 2)]


def test_seconds_without_news_are_empty_buckets_and_old_ones_go() -> None:
    seen = follow(NONE, replace(NONE, now_ms=1_003_500, waiting=1))
    long_after = observe(seen, replace(NONE, now_ms=9_000_000, waiting=1))

    assert [bucket.arrivals for bucket in seen.buckets] == [0, 0, 0, 1]
    assert len(follow(NONE, replace(NONE, now_ms=9_000_000)).buckets) == 1
    assert len(long_after.buckets) == KEPT_BUCKETS


def test_the_service_time_is_a_mean_of_the_newest_tasks() -> None:
    slow = replace(NONE, now_ms=1_001_000, started_total=100, ended_total=100, busy_ms_total=1_000_000)
    fast = replace(slow, now_ms=1_002_000, started_total=2_100, ended_total=2_100, busy_ms_total=3_000_000)

    assert follow(NONE).service_seconds is None
    assert follow(NONE, slow).service_seconds == pytest.approx(10.0)
    assert follow(NONE, slow, fast).service_seconds == pytest.approx(1.0, rel=0.01)


def test_tasks_that_take_no_time_still_have_a_service_time() -> None:
    ended = follow(NONE, replace(NONE, now_ms=1_001_000, started_total=5, ended_total=5))

    assert ended.service_seconds is not None
    assert ended.service_seconds > 0


def test_idleness_begins_when_the_last_work_is_gone() -> None:
    busy = replace(NONE, now_ms=1_005_000, running=1, started_total=1)
    done = replace(busy, now_ms=1_007_000, running=0, ended_total=1)

    assert follow(NONE, busy).idle_since_seconds is None
    assert follow(NONE, busy, done, replace(done, now_ms=1_009_000)).idle_since_seconds == 1_007.0


def test_a_flushed_redis_starts_it_anew() -> None:
    before = follow(NONE, replace(NONE, now_ms=1_001_000, started_total=50, ended_total=50, busy_ms_total=9))

    assert observe(before, replace(NONE, now_ms=1_002_000, waiting=2)).service_seconds is None


def test_spend_is_an_hourly_rate_of_the_kept_seconds() -> None:
    later = replace(NONE, now_ms=1_119_000, spent_total=10_000_000)

    assert follow(NONE, later).spend_per_hour == 10_000_000 * 3_600 // 120


def test_how_long_workers_take_to_start_is_measured() -> None:
    starts = StartTimes()
    for at, replicas, ready in ((0.0, 0, 0), (1.0, 4, 0), (13.0, 4, 4)):
        starts.observe(PoolObservation(replicas=replicas, ready=ready), at)

    assert 6.0 < starts.mean_seconds < 12.0
