"""Few tasks and one worker in the planner's sentences."""

import pytest

from agentfleet_core.planner.plan import plan
from agentfleet_core.planner.policies import stabilization
from agentfleet_core.planner.snapshot import Bucket, PoolSnapshot
from agentfleet_core.testing.pools import NOW, pool, steady


def first_minute(*, arrivals: int) -> PoolSnapshot:
    """All of them came in its first second, eight seconds ago; one still runs."""
    history = tuple(
        Bucket(NOW - 8 + second, 1.0, arrivals if second == 0 else 0, 0, 0, 0.0, 0) for second in range(8)
    )
    return pool(history=history, running=1, replicas=1, service_seconds=2.0)


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (first_minute(arrivals=1), "0 waiting, 1 running, 1 arrived in 8 s, 2 s each, "),
        (first_minute(arrivals=4), "0 waiting, 1 running, 4 arrived in 8 s, 2 s each, "),
        (pool(history=steady(3), running=6, replicas=2, service_seconds=2.0), "180 a minute arrive, 2 s"),
    ],
)
def test_a_rate_is_told_only_where_enough_came_to_know_one(seen: PoolSnapshot, says: str) -> None:
    need = plan(seen).notes[0]
    assert need.reason == "TargetWait"
    assert says in need.text


@pytest.mark.parametrize(("before", "says"), [(1, "1 was wanted within"), (2, "2 were wanted within")])
def test_one_was_and_two_were_wanted(before: int, says: str) -> None:
    note = stabilization(pool(replicas=3, recommendations=((NOW - 1, before),)), 0)
    assert note is not None
    assert note.text.startswith(says)
