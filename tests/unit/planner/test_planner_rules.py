"""Each rule of the planner's chain: when it speaks, what it leaves, and that it keeps silent otherwise."""

import pytest

from agentfleet_core.planner import policies
from agentfleet_core.planner.plan import plan
from agentfleet_core.planner.reasons import Reason
from agentfleet_core.planner.snapshot import PoolSnapshot
from agentfleet_core.testing.pools import NOW, pool, steady, worker

BUSY = {"waiting": 40, "running": 8, "service_seconds": 2.0}
MONEY = {"history": steady(2, service=2.0), "spend_per_hour": 2_000_000_000, **BUSY}
"""Four slots were busy, so one worker; it spent 2.00 an hour."""

RULES = [
    ("pinned", pool(spec={"replicas": 7}), 3, 7),
    ("pinned", pool(), 3, None),
    ("contested", pool(contested=True, replicas=6), 3, 6),
    ("contested", pool(replicas=6), 3, None),
    ("paused", pool(paused=True, replicas=4), 9, 4),
    ("paused", pool(spec={"paused": True}, replicas=4), 9, 4),
    ("paused", pool(replicas=4), 9, None),
    ("due_soon", pool(next_due_in_seconds=5.0, start_seconds=6.0), 0, 1),
    ("due_soon", pool(next_due_in_seconds=60.0, start_seconds=6.0), 0, None),
    ("due_soon", pool(next_due_in_seconds=5.0, start_seconds=6.0), 2, None),
    ("max_replicas", pool(), 11, 10),
    ("max_replicas", pool(), 10, None),
    ("spend_per_hour", pool(scaling={"maxSpendPerHour": "6.00"}, **MONEY), 8, 3),
    ("spend_per_hour", pool(scaling={"maxSpendPerHour": "0.50"}, **MONEY), 8, 1),
    ("spend_per_hour", pool(scaling={"maxSpendPerHour": "60.00"}, **MONEY), 8, None),
    ("spend_per_hour", pool(**MONEY), 8, None),
    ("min_replicas", pool(scaling={"minReplicas": 2}), 1, 2),
    ("min_replicas", pool(scaling={"minReplicas": 2}), 2, None),
    ("idle_to_zero", pool(replicas=1, idle_since_seconds=NOW - 100), 0, 1),
    ("idle_to_zero", pool(replicas=1, idle_since_seconds=NOW - 301), 0, None),
    ("idle_to_zero", pool(replicas=3, idle_since_seconds=NOW - 301), 3, 0),
    ("idle_to_zero", pool(replicas=3, idle_since_seconds=NOW - 301, next_due_in_seconds=1.0), 3, None),
    ("idle_to_zero", pool(replicas=0, idle_since_seconds=NOW - 1), 0, None),
    ("stabilization", pool(replicas=5, recommendations=((NOW - 2, 4), (NOW - 1, 2))), 1, 4),
    ("stabilization", pool(replicas=5, recommendations=((NOW - 60, 4),)), 1, None),
    ("stabilization", pool(replicas=5, recommendations=((NOW - 1, 9),)), 1, 5),
    ("stabilization", pool(replicas=5, recommendations=((NOW - 1, 4),)), 6, None),
    ("unknown_data", pool(known=False, replicas=5), 0, 5),
    ("unknown_data", pool(known=False, replicas=5), 7, None),
    ("unknown_data", pool(replicas=5), 0, None),
    ("rollout_in_progress", pool(rolling_out=True, replicas=5), 3, 5),
    ("rollout_in_progress", pool(rolling_out=True, replicas=5), 6, None),
    ("unready_worker_busy", pool(replicas=2, workers=(worker("a", held=1, ready=False),)), 1, 2),
    ("unready_worker_busy", pool(replicas=2, workers=(worker("a", held=0, ready=False),)), 1, None),
]


@pytest.mark.parametrize(("rule", "seen", "number", "left"), RULES)
def test_a_rule_speaks_only_when_it_changes_or_holds_the_number(
    rule: str, seen: PoolSnapshot, number: int, left: int | None
) -> None:
    note = getattr(policies, rule)(seen, number)

    assert (note and note.replicas) == left
    if note is not None:
        assert note.text
        assert note.reason in set(Reason)


def test_a_pin_beats_the_bounds_but_not_another_manager() -> None:
    assert plan(pool(spec={"replicas": 15})).replicas == 15
    assert plan(pool(spec={"replicas": 15}, contested=True, replicas=4)).replicas == 4


def test_the_chain_names_who_limited_whom_in_order() -> None:
    made = plan(pool(scaling={"maxSpendPerHour": "6.00"}, **{**MONEY, "waiting": 400}))

    assert [(note.reason, note.replicas) for note in made.notes[1:]] == [
        ("MaxReplicas", 10),
        ("SpendPerHour", 3),
    ]
    assert made.notes[0].replicas > 10
    assert (made.replicas, made.limited_by) == (3, "SpendPerHour")


def test_work_that_no_budget_admits_is_named_and_not_counted() -> None:
    some_are_queued = {"blocked": 290, "blocked_tasks": 320, "blocked_tenants": (("globex", 300),)}
    made = plan(pool(**some_are_queued, service_seconds=2.0))

    assert made.replicas == 0
    assert [(note.reason, note.text.split()[0]) for note in made.not_counted] == [
        ("BudgetExhausted", "300"),
        ("BudgetExhausted", "20"),
    ]


def test_a_first_task_wakes_a_pool_at_zero() -> None:
    made = plan(pool(waiting=1))

    assert (made.replicas, made.notes[0].reason) == (1, "FirstTask")


def test_a_pool_without_work_asks_for_nothing_and_to_be_left_alone() -> None:
    made = plan(pool())

    assert (made.replicas, made.next_check_seconds, made.notes[0].reason) == (0, None, "NoWork")


def test_a_parked_task_is_waited_for_as_long_as_a_worker_takes_to_start() -> None:
    made = plan(pool(next_due_in_seconds=100.0, start_seconds=8.0, parked=1))

    assert (made.replicas, made.next_check_seconds) == (0, 92.0)


@pytest.mark.parametrize("hold", [{"known": False}, {"rolling_out": True}])
def test_not_even_a_pin_shrinks_while_shrinking_is_unsafe(hold: dict[str, bool]) -> None:
    made = plan(pool(spec={"replicas": 1}, replicas=5, workers=(worker("a", held=2), worker("b")), **hold))

    assert (made.replicas, made.drain, made.victims) == (5, (), ())
