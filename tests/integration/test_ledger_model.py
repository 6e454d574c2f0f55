"""The ledger in Redis does, in any order of operations, what the plain model in memory does."""

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import Hold, LimitWindow, Reserved
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.settings import FleetId
from agentfleet_core.testing.memory_ledger import MemoryLedger

LIMITS = (LimitWindow("day", 1_000, 0, 0), LimitWindow("hour", 600, 1, 9_000_000_000_000),
          LimitWindow("research", 400, 0, 0))  # fmt: skip
RUNS = itertools.count()
AMOUNTS = st.integers(0, 450)
COSTS = st.integers(0, 450)
SUBSETS = st.sets(st.sampled_from(LIMITS)).map(
    lambda chosen: tuple(sorted(chosen, key=lambda each: each.name))
)


class LedgerMachine(RuleBasedStateMachine):
    """Each rule runs on both: answers and balances are the same, and no limit is passed but by overrun."""

    server: RedisServer
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.redis = connect(self.server.url)
        self.real = RedisLedger(self.redis, FleetId("model", f"run-{next(RUNS)}"))
        self.model = MemoryLedger()
        self.overrun = 0
        self.ids = 0

    def teardown(self) -> None:
        self.loop.run(self.redis.aclose())
        self.loop.close()

    @rule(target=holds, amount=AMOUNTS, limits=SUBSETS)
    def reserve(self, amount: int, limits: tuple[LimitWindow, ...]) -> Hold:
        self.ids += 1
        return self._reserve(Hold(f"task/{self.ids}/1", "acme", amount, limits))

    @rule(hold=holds)
    def reserve_again(self, hold: Hold) -> None:
        self._reserve(hold)

    @rule(hold=holds)
    def mark_sent(self, hold: Hold) -> None:
        assert self.loop.run(self.real.mark_sent(hold)) == self.loop.run(self.model.mark_sent(hold))

    @rule(hold=holds, cost=COSTS)
    def settle(self, hold: Hold, cost: int) -> None:
        real = self.loop.run(self.real.settle(hold, cost))
        assert real == self.loop.run(self.model.settle(hold, cost))
        self.overrun += real.overrun

    @rule(hold=holds)
    def charge_unconfirmed(self, hold: Hold) -> None:
        real = self.loop.run(self.real.settle(hold, hold.amount, unconfirmed=True))
        assert real == self.loop.run(self.model.settle(hold, hold.amount, unconfirmed=True))

    @rule(hold=holds)
    def release(self, hold: Hold) -> None:
        self.loop.run(self.real.release(hold))
        self.loop.run(self.model.release(hold))

    @rule(hold=holds)
    def lease_ends(self, hold: Hold) -> None:
        self.loop.run(self.real.extend([hold], lease_ms=0))
        self.loop.run(self.model.extend([hold], lease_ms=0))

    @rule(hold=consumes(holds))
    def lease_is_renewed_and_the_hold_forgotten(self, hold: Hold) -> None:
        self.loop.run(self.real.extend([hold], lease_ms=600_000))
        self.loop.run(self.model.extend([hold], lease_ms=600_000))

    @rule()
    def sweep(self) -> None:
        assert self.loop.run(self.real.sweep("acme")) == self.loop.run(self.model.sweep("acme"))

    @invariant()
    def balances_agree_and_no_limit_is_passed(self) -> None:
        real = self.loop.run(self.real.balances("acme", LIMITS))
        assert real == self.loop.run(self.model.balances("acme", LIMITS))
        for balance in real:
            assert 0 <= balance.unconfirmed <= balance.spent
            assert balance.held >= 0
            assert balance.spent + balance.held <= balance.limit.amount + self.overrun

    def _reserve(self, hold: Hold) -> Hold:
        real = self.loop.run(self.real.reserve("acme", hold.id, hold.amount, hold.limits, lease_ms=600_000))
        model = self.loop.run(self.model.reserve("acme", hold.id, hold.amount, hold.limits, lease_ms=600_000))
        assert real == model
        return real.hold if isinstance(real, Reserved) else hold


@pytest.mark.timeout(120)
def test_any_order_of_operations_agrees_with_the_model(redis: RedisServer) -> None:
    machine = type("Machine", (LedgerMachine,), {"server": redis})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
