"""The lease thread keeps what the worker holds, money too, while the event loop does nothing for it."""

import asyncio

from tests.integration.worker.rig import Fleet

from agentfleet_core.budget.limits import LimitWindow, Reserved
from agentfleet_worker.calls.holds import OpenHolds
from agentfleet_worker.process.leases import LeaseKeeper

LEASE_MS = 600


async def test_the_holds_of_open_calls_are_renewed_with_the_leases(fleet: Fleet) -> None:
    limit = LimitWindow("day", 1_000, 0, 0)
    outcome = await fleet.ledger.reserve("acme", "task/1/call", 100, [limit], lease_ms=LEASE_MS)
    assert isinstance(outcome, Reserved)
    holds = OpenHolds()
    holds.add(outcome.hold)
    keeper = LeaseKeeper(
        fleet.url, fleet.queue, fleet.ledger, {}, holds, worker="w1", lease_ms=LEASE_MS, lost=print
    )
    leases = fleet.ledger.keys("acme").leases

    async def ends_ms() -> float:
        score = await fleet.redis.zscore(leases, outcome.hold.id)
        assert score is not None
        return float(score)

    first = await ends_ms()
    keeper.start()
    try:
        async with asyncio.timeout(10):
            # Renewed after the first lease would have ended; Redis tells nobody of it.
            while await ends_ms() <= first + LEASE_MS:  # noqa: ASYNC110 -- see above
                await asyncio.sleep(0.02)
    finally:
        keeper.close()
    (balance,) = await fleet.ledger.balances("acme", [limit])
    assert (balance.held, balance.unconfirmed) == (100, 0)
