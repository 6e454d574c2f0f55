"""Who goes when fewer are wanted: idle workers first, drained, seen to hold nothing, then removed."""

from agentfleet_core.planner.shrink import shrink
from agentfleet_core.testing.pools import NOW, pool, worker


def test_the_longest_idle_is_told_first_and_nothing_is_lowered_yet() -> None:
    seen = pool(
        replicas=3,
        workers=(worker("busy", held=2), worker("fresh", idle=NOW - 1), worker("old", idle=NOW - 90)),
    )

    going = shrink(seen, 2, may_shrink=True)

    assert (going.drain, going.victims, going.replicas) == (("old",), (), 3)


def test_a_drained_worker_goes_once_it_holds_nothing() -> None:
    seen = pool(replicas=3, workers=(worker("a", held=1), worker("b", held=1), worker("c", draining=True)))

    going = shrink(seen, 2, may_shrink=True)

    assert (going.drain, going.victims, going.replicas) == ((), ("c",), 2)


def test_with_all_busy_the_least_busy_finish_what_they_hold() -> None:
    seen = pool(replicas=3, workers=(worker("a", held=4), worker("b", held=1), worker("c", held=3)))

    told = shrink(seen, 1, may_shrink=True)
    later = pool(
        replicas=3,
        workers=(worker("a", held=4), worker("b", draining=True), worker("c", held=3, draining=True)),
    )
    then = shrink(later, 1, may_shrink=True)

    assert (told.drain, told.replicas, told.finishing) == (("b", "c"), 3, 2)
    assert (then.victims, then.replicas, then.finishing) == (("b",), 2, 1)


def test_workers_that_have_not_started_are_given_up_before_any_that_runs() -> None:
    seen = pool(replicas=5, workers=(worker("a"), worker("b")))

    going = shrink(seen, 2, may_shrink=True)

    assert (going.drain, going.replicas) == ((), 2)


def test_a_ready_worker_that_the_queue_does_not_know_yet_may_be_claiming_and_stays() -> None:
    seen = pool(replicas=3, ready=3, running=2, workers=(worker("a", held=1),))

    going = shrink(seen, 1, may_shrink=True)

    assert (going.drain, going.replicas) == (("a",), 3)


def test_when_more_are_wanted_meanwhile_others_are_asked_for_beside_the_drained() -> None:
    seen = pool(replicas=2, workers=(worker("a", held=1), worker("b", held=3, draining=True)))

    going = shrink(seen, 4, may_shrink=True)

    assert (going.replicas, going.drain, going.victims) == (5, (), ())


def test_drained_workers_never_push_a_pool_over_its_bound() -> None:
    seen = pool(replicas=10, workers=tuple(worker(f"w{n}", held=1, draining=n < 3) for n in range(10)))

    assert shrink(seen, 10, may_shrink=True).replicas == 10


def test_nothing_goes_while_a_rule_forbids_it() -> None:
    seen = pool(replicas=3, workers=(worker("a"), worker("b", draining=True), worker("c")))

    going = shrink(seen, 0, may_shrink=False)

    assert (going.replicas, going.drain, going.victims) == (3, (), ())
