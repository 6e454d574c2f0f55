"""What holds of every plan, whatever the pool looks like."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from agentfleet_core.planner.plan import plan
from agentfleet_core.planner.snapshot import PoolSnapshot, WorkerView
from agentfleet_core.testing.pools import NOW, pool, steady

MANY = st.integers(0, 200)
WORKERS = st.lists(
    st.builds(
        WorkerView,
        id=st.uuids().map(str),
        revision=st.just("r1"),
        ready=st.booleans(),
        draining=st.booleans(),
        held=st.integers(0, 4),
        idle_since_seconds=st.none() | st.floats(NOW - 500, NOW),
    ),
    max_size=12,
)


@st.composite
def pools(draw: st.DrawFn) -> PoolSnapshot:
    least = draw(st.integers(0, 5))
    scaling = {
        "minReplicas": least,
        "maxReplicas": draw(st.integers(max(1, least), 30)),
        "targetWaitSeconds": draw(st.sampled_from([1, 2, 5, 60, 600])),
        "targetPercent": draw(st.sampled_from([50, 95, 99.9])),
    }
    if draw(st.booleans()):
        scaling["maxSpendPerHour"] = draw(st.sampled_from(["0.10", "4.00", "900"]))
    workers = draw(WORKERS)
    replicas = draw(st.integers(len(workers), len(workers) + 3))
    return pool(
        scaling=scaling,
        waiting=draw(MANY),
        running=sum(each.held for each in workers),
        due=draw(st.integers(0, 3)),
        history=steady(draw(st.integers(0, 9)), service=draw(st.sampled_from([0.1, 2.0, 40.0])), spent=10**6),
        spend_per_hour=draw(st.sampled_from([0, 10**9, 10**11])),
        service_seconds=draw(st.none() | st.sampled_from([0.1, 2.0, 40.0, 900.0])),
        replicas=replicas,
        ready=draw(st.integers(0, replicas)),
        workers=tuple(workers),
        rolling_out=draw(st.booleans()),
        known=draw(st.booleans()),
        recommendations=((NOW - 1, draw(st.integers(0, 30))),),
    )


@given(pools())
@settings(max_examples=200, deadline=None)
def test_a_busy_worker_is_never_a_victim_and_each_lowering_has_its_victims(seen: PoolSnapshot) -> None:
    made = plan(seen)
    held = {each.id: each.held for each in seen.workers}
    draining = {each.id for each in seen.workers if each.draining}
    here = max(len(seen.workers), seen.ready if seen.running else 0)
    starting = seen.replicas - here

    assert all(held[name] == 0 and name in draining for name in made.victims)
    assert seen.replicas - made.replicas <= len(made.victims) + starting


@given(pools())
@settings(max_examples=200, deadline=None)
def test_what_is_recommended_lies_within_the_bounds(seen: PoolSnapshot) -> None:
    scaling = seen.spec.scaling

    assert scaling.min_replicas <= plan(seen).recommended <= scaling.max_replicas


@given(pools(), st.integers(1, 100))
@settings(max_examples=100, deadline=None)
def test_more_waiting_tasks_never_mean_fewer_workers(seen: PoolSnapshot, more: int) -> None:
    fuller = replace(seen, waiting=seen.waiting + more)

    assert plan(fuller).recommended >= plan(seen).recommended
    assert plan(fuller).replicas >= plan(seen).replicas


@given(pools())
@settings(max_examples=100, deadline=None)
def test_on_unknown_data_and_in_a_rollout_nothing_shrinks(seen: PoolSnapshot) -> None:
    for unsafe in (replace(seen, known=False), replace(seen, rolling_out=True)):
        made = plan(unsafe)
        assert made.replicas >= unsafe.replicas
        assert (made.drain, made.victims) == ((), ())


@given(pools())
@settings(max_examples=50, deadline=None)
def test_the_same_snapshot_gives_the_same_plan(seen: PoolSnapshot) -> None:
    assert plan(seen) == plan(seen)
