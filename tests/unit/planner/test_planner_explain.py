"""What `agentfleet why pool/NAME` prints, and the one line that a scale event carries."""

from agentfleet_core.planner.explain import explain, headline
from agentfleet_core.planner.plan import plan
from agentfleet_core.planner.snapshot import Bucket
from agentfleet_core.testing.pools import NOW, pool, worker


def test_the_chain_reads_from_the_promise_to_the_number() -> None:
    busy = tuple(Bucket(NOW - 60 + second, 1.0, 0, 0, 0, 16.0, 0) for second in range(60))
    seen = pool(
        scaling={"maxReplicas": 20, "targetWaitSeconds": 600, "maxSpendPerHour": "40.00"},
        waiting=1840,
        running=16,
        service_seconds=38.0,
        history=busy,
        spend_per_hour=39_800_000_000,
        replicas=4,
        blocked=320,
        blocked_tenants=(("globex", 320),),
        blocked_by=(("globex", "day limit resets 00:00 Europe/Berlin"),),
    )

    assert explain(plan(seen)) == (
        "chat wants 4 workers\n"
        "  34  WorkAtHand    1,840 waiting, 16 running, 38 s each, 4 at once per worker:\n"
        "                    so 95 % start within 10 min\n"
        "  20  MaxReplicas   maxReplicas is 20\n"
        ">  4  SpendPerHour  maxSpendPerHour is 40.00, a busy worker spends 9.95\n"
        "  not counted: 320 tasks of globex, whose day limit resets 00:00 Europe/Berlin\n"
        "               (BudgetExhausted)"
    )


def test_the_headline_is_the_rule_that_set_the_number() -> None:
    limited = plan(pool(waiting=400, service_seconds=2.0))
    woken = plan(pool(waiting=1))
    draining = plan(pool(replicas=2, workers=(worker("a", held=1), worker("b", held=2)), running=3))

    assert [headline(made).reason for made in (limited, woken, draining)] == [
        "MaxReplicas",
        "FirstTask",
        "Draining",
    ]
