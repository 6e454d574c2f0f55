"""Erlang C, the replay of the recent past, and the aim that real waits move."""

import math

import pytest

from agentfleet_core.planner.memory import Memory, remember
from agentfleet_core.planner.replay import fresh_replay, skip, step, workers_held
from agentfleet_core.planner.snapshot import Bucket, PoolSnapshot
from agentfleet_core.planner.staffing import slots_at_hand, slots_for_rate
from agentfleet_core.testing.pools import NOW, pool


@pytest.mark.parametrize(
    ("rate", "service", "target", "share"),
    [(10 / 180, 180.0, 20.0, 0.80), (5.4, 5.1, 2.0, 0.99), (1.0, 1.0, 0.001, 0.99), (0.0, 2.0, 5.0, 0.95)],
)
def test_the_fewest_slots_by_erlang_c(rate: float, service: float, target: float, share: float) -> None:
    needed = slots_for_rate(rate, service, target, share)

    assert _in_time(needed, rate * service, target / service) >= share
    if needed > math.floor(rate * service) + 1:
        assert _in_time(needed - 1, rate * service, target / service) < share


def _in_time(slots: int, load: float, target: float) -> float:
    """Erlang C by its sum, as the textbook writes it."""
    if load == 0:
        return 1.0
    top = load**slots / math.factorial(slots) * slots / (slots - load)
    must_wait = top / (sum(load**n / math.factorial(n) for n in range(slots)) + top)
    return 1 - must_wait * math.exp(-(slots - load) * target)


def test_what_is_there_now_needs_a_slot_each_or_less_where_waiting_is_allowed() -> None:
    assert slots_at_hand(waiting=10, running=4, service_seconds=30.0, target_seconds=5.0) == 14
    assert slots_at_hand(waiting=10, running=4, service_seconds=1.0, target_seconds=5.0) == 6


def burst_every(gap: int, times: int, size: int = 40) -> tuple[int, float]:
    """The workers held after so many bursts, and the time; 4 at once, 2 s each, 2 s of target wait."""
    replay = fresh_replay(most_workers=20, concurrency=4, target_seconds=2.0, service_seconds=2.0)
    now = 0.0
    for _ in range(times):
        for second in range(gap):
            now += 1
            replay = step(replay, size if second == 0 else 0, 2.0, now)
    return workers_held(replay, 0.9, now), now


def test_bursts_that_come_back_keep_the_workers_they_need() -> None:
    held, _ = burst_every(60, 5)

    # In two seconds of waiting each slot serves once more: 40 tasks need 20 slots, fewer for 90 %.
    assert 4 <= held <= 6


def test_when_bursts_stop_coming_their_workers_are_let_go() -> None:
    replay = fresh_replay(most_workers=20, concurrency=4, target_seconds=2.0, service_seconds=2.0)
    replay = step(replay, 40, 2.0, 1.0)

    quiet = skip(replay, 299, 300.0)

    assert workers_held(quiet, 0.9, 300.0) == workers_held(replay, 0.9, 1.0)
    assert workers_held(skip(quiet, 2, 302.0), 0.9, 302.0) == 0


def test_one_rare_burst_among_much_smooth_work_is_not_held_for() -> None:
    replay = fresh_replay(most_workers=20, concurrency=4, target_seconds=2.0, service_seconds=2.0)
    for second in range(600):
        replay = step(replay, 60 if second == 500 else 4, 2.0, float(second))

    assert workers_held(replay, 0.95, 600.0) < workers_held(replay, 0.999, 600.0)


def seen_at(now: float, *, late: bool, memory: object) -> PoolSnapshot:
    """Two minutes of four arrivals a second, started at once or ten seconds later."""
    history = tuple(
        Bucket(now - 120 + second, 1.0, 4, 4 if not late or second > 10 else 0, 4, 8.0, 0)
        for second in range(120)
    )
    seen = pool(scaling={"targetWaitSeconds": 2}, history=history, service_seconds=2.0, memory=memory)
    return PoolSnapshot(**{name: getattr(seen, name) for name in seen.__slots__} | {"now_seconds": now})


def test_broken_promises_raise_the_aim_and_kept_ones_lower_it() -> None:
    kept = remember(seen_at(NOW, late=False, memory=None), 2.0)
    broken = remember(seen_at(NOW, late=True, memory=None), 2.0)

    assert kept.aim < 0.95 < broken.aim


def test_the_same_history_is_taken_in_once() -> None:
    once = remember(seen_at(NOW, late=False, memory=None), 2.0)
    again = remember(seen_at(NOW, late=False, memory=once), 2.0)

    assert again is once


def test_a_changed_promise_begins_anew() -> None:
    memory = remember(seen_at(NOW, late=True, memory=None), 2.0)
    other = pool(scaling={"targetWaitSeconds": 2, "targetPercent": 80}, service_seconds=2.0, memory=memory)

    fresh = remember(other, 2.0)

    assert isinstance(fresh, Memory)
    assert fresh.aim == pytest.approx(0.8)
