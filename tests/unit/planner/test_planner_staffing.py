"""Erlang C, the replay of the recent past, the choice of what to keep, and the error budget."""

import math
from dataclasses import replace

import pytest

from agentfleet_core.planner.choice import cheapest
from agentfleet_core.planner.memory import Memory, remember
from agentfleet_core.planner.replay import Moment, Replay, fresh_replay, kept_now, skip, step
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


def replayed(arrivals: list[int], *, needed: int = 20) -> Replay:
    """A second each; 4 at once per worker, 2 s each, 2 s of target wait, 6 s to start."""
    replay = fresh_replay(most_workers=20, concurrency=4, target_seconds=2.0, service_seconds=2.0)
    due = 0.0
    for second, count in enumerate(arrivals):
        fallen_due = float(sum(arrivals[: max(0, second - 1)]))
        replay = step(replay, Moment(second + 1.0, count, fallen_due, due, 0.5, needed, 2.0, 6.0, 5.0))
        due = fallen_due
    return replay


def burst_every(gap: int, times: int, size: int = 40) -> Replay:
    return replayed(([size] + [0] * (gap - 1)) * times)


def test_who_keeps_more_workers_starts_fewer_late_and_pays_for_it() -> None:
    replay = burst_every(60, 5)

    assert list(replay.late) == sorted(replay.late, reverse=True)
    assert replay.late[0] > replay.late[-1]
    assert replay.cost[0] < replay.cost[5] < replay.cost[10] < replay.cost[-1]


def test_bursts_that_come_back_are_in_time_with_the_workers_they_need() -> None:
    replay = burst_every(60, 5)
    # In two seconds of waiting each slot serves once more: 40 tasks need 20 slots, so 5 workers.
    assert replay.late[5] <= 10 < replay.late[3]


def test_a_burst_longer_than_a_workers_start_is_served_by_workers_called_for_it() -> None:
    short, long = replayed([8] * 6 + [0] * 30), replayed([8] * 60 + [0] * 30)

    assert short.late[0] / short.judged > 0.9
    assert long.late[0] / long.judged < 0.5


def test_tasks_that_end_later_than_usual_keep_the_replay_busy() -> None:
    usual = Moment(1.0, 8, 0.0, 0.0, 0.5, 2, 2.0, 6.0, 5.0)
    replay = fresh_replay(most_workers=4, concurrency=4, target_seconds=2.0, service_seconds=2.0)

    quick, slow = step(replay, usual), step(replay, replace(usual, ending=0.01))
    for second in range(2, 20):
        later = replace(usual, end_seconds=float(second), arrivals=0)
        quick, slow = step(quick, later), step(slow, replace(later, ending=0.01))

    assert slow.running[-1] > quick.running[-1]


def test_when_bursts_stop_coming_their_workers_are_let_go() -> None:
    replay = replayed([40], needed=5)
    quiet = skip(replay, 299, 300.0)

    assert kept_now(quiet, 4, 300.0) == kept_now(replay, 4, 1.0) == 4
    assert kept_now(quiet, 18, 300.0) == 5
    assert kept_now(skip(quiet, 2, 302.0), 18, 302.0) == 0


LATE, COST = (100.0, 40.0, 10.0, 9.0), (10.0, 20.0, 40.0, 400.0)


@pytest.mark.parametrize(
    ("allowed", "owed", "kept"),
    [
        (100.0, 100.0, 0),
        (50.0, 50.0, 1),
        (10.0, 10.0, 2),
        (9.0, 9.0, 3),
        (1.0, 1.0, 2),
        (50.0, 10.0, 2),
        (50.0, 9.0, 2),
    ],
    ids=[
        "nothing is kept that the promise does not need",
        "the cheapest that keeps it",
        "a higher promise",
        "the promise is kept at any price",
        "what no number keeps is not paid for at any price",
        "what is overdrawn is paid back",
        "but not at any price",
    ],
)
def test_the_cheapest_that_keeps_the_promise(allowed: float, owed: float, kept: int) -> None:
    assert cheapest(LATE, COST, allowed=allowed, owed=owed) == kept


def seen_at(now: float, *, late: bool, memory: object) -> PoolSnapshot:
    """Two minutes of four arrivals a second, started at once or ten seconds later."""
    history = tuple(
        Bucket(now - 120 + second, 1.0, 4, 4 if not late or second > 10 else 0, 4, 8.0, 0)
        for second in range(120)
    )
    seen = pool(scaling={"targetWaitSeconds": 2}, history=history, service_seconds=2.0, memory=memory)
    return PoolSnapshot(**{name: getattr(seen, name) for name in seen.__slots__} | {"now_seconds": now})


def test_broken_promises_leave_a_smaller_budget_than_kept_ones() -> None:
    kept = remember(seen_at(NOW, late=False, memory=None), 2.0).record
    broken = remember(seen_at(NOW, late=True, memory=None), 2.0).record

    assert kept.judged == pytest.approx(broken.judged)
    assert kept.late < 0.05 * kept.judged < broken.late


def test_the_same_history_is_taken_in_once() -> None:
    once = remember(seen_at(NOW, late=False, memory=None), 2.0)
    again = remember(seen_at(NOW, late=False, memory=once), 2.0)

    assert again is once


def test_a_changed_promise_begins_anew() -> None:
    memory = remember(seen_at(NOW, late=True, memory=None), 2.0)
    other = pool(scaling={"targetWaitSeconds": 2, "targetPercent": 80}, service_seconds=2.0, memory=memory)

    fresh = remember(other, 2.0)

    assert isinstance(fresh, Memory)
    assert fresh.promise == pytest.approx(0.8)
    assert fresh.record.late == 0
