"""Money before a call: not while paused, not faster than the provider lets, and never without a hold.

What stands in the way is waited for as long as the call may take, then it goes back to who asked. Budgets
fail closed: without Redis there is no call.
"""

import asyncio
import time
from datetime import UTC, datetime

from agentfleet_core.budget.limits import Hold, LimitWindow, Refused, Reserved
from agentfleet_core.budget.room import Room, Wish
from agentfleet_core.budget.windows import limit_windows
from agentfleet_core.errors import Unavailable
from agentfleet_core.ports import Ledger
from agentfleet_core.routing.degrade import NoBudget, Obstacle, Paused, Throttled
from agentfleet_worker.attempt.attempt import Attempt
from agentfleet_worker.attempt.background import Background
from agentfleet_worker.attempt.ports import Follower
from agentfleet_worker.calls.call import PaidCall
from agentfleet_worker.calls.health import Health
from agentfleet_worker.calls.holds import OpenHolds

PAUSE_CHECK_SECONDS = 0.1
PAUSE_PATIENCE_SECONDS = 5.0
"""A pause shorter than this is waited out in place; a longer one parks the task, whose deadline then stands
still.
"""
SETTLE_RETRY_SECONDS = 0.2
OUTAGE_CHECK_SECONDS = 0.2


class _Stopped(Exception):
    """Leaves the wait for room."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__()
        self.obstacle = obstacle


class CallMoney:
    def __init__(
        self,
        ledger: Ledger,
        room: Room,
        follower: Follower,
        holds: OpenHolds,
        health: Health,
        background: Background,
        *,
        pool: str,
        lease_ms: int,
    ) -> None:
        self._ledger = ledger
        self._room = room
        self._follower = follower
        self._holds = holds
        self._health = health
        self._background = background
        self._pool = pool
        self._lease_ms = lease_ms

    async def hold(self, paid: PaidCall) -> Hold | Obstacle:
        """A hold that is marked sent: the request must leave now. Or what still stands in the way when it
        can be waited for no longer.

        Raises `Unavailable` without Redis.
        """
        attempt, number = paid.payer.running, 0
        hold_id = f"{attempt.id}/{attempt.claim.attempt}/{paid.call.key}.{paid.tries}"
        while True:
            number += 1
            try:
                await self._not_paused(attempt, paid.until)
                seconds = await self._health.wait(paid.tier, paid.model, paid.until)
                if seconds:
                    return Throttled(seconds)
                outcome = await self._reserve(paid, f"{hold_id}.{number}")
                if isinstance(outcome, Refused):
                    return outcome
                if await self._mark_sent(attempt, outcome.hold):
                    return outcome.hold
            except _Stopped as stopped:
                return stopped.obstacle
            except Unavailable:
                # Soon the config's silence shows as a pause, and a long one parks the task.
                if time.monotonic() >= paid.until:
                    raise
                await asyncio.sleep(OUTAGE_CHECK_SECONDS)

    async def _mark_sent(self, attempt: Attempt, hold: Hold) -> bool:
        """False: it was paused meanwhile, or the hold is gone; it is given back."""
        self._holds.add(hold)
        try:
            if self._paused(attempt) is None and await self._ledger.mark_sent(hold):
                return True
        except BaseException:
            # Whatever Redis took it for, nothing was sent.
            self._background.start(self.settle(hold, 0))
            raise
        self._holds.remove(hold)
        await self._ledger.release(hold)
        return False

    async def settle(self, hold: Hold, cost: int, *, unconfirmed: bool = False) -> None:
        """Tried until Redis answers, for as long as a lease; afterwards the sweep charges the worst case."""
        give_up_at = time.monotonic() + self._lease_ms / 1000
        try:
            while True:
                try:
                    await self._ledger.settle(hold, cost, unconfirmed=unconfirmed)
                    return
                except Unavailable:
                    if time.monotonic() >= give_up_at:
                        raise
                await asyncio.sleep(SETTLE_RETRY_SECONDS)
        finally:
            self._holds.remove(hold)

    async def _reserve(self, paid: PaidCall, hold_id: str) -> Reserved | Refused:
        wish = Wish(paid.payer.tenant, hold_id, paid.bounded.amount, self._lease_ms, paid.until)
        return await self._room.reserve(
            wish,
            lambda: self._windows(paid),
            check=lambda: self._not_paused(paid.payer.running, paid.until),
        )

    def _windows(self, paid: PaidCall) -> tuple[LimitWindow, ...]:
        compiled = self._follower.config.tenants.get(paid.payer.tenant)
        if compiled is None:
            raise _Stopped(NoBudget())
        paid.budget = compiled.spec
        now = datetime.fromtimestamp(paid.payer.running.now_ms() / 1000, UTC)
        return limit_windows(compiled.spec, task_type=paid.payer.task_type, tier=paid.tier, now=now)

    def _paused(self, attempt: Attempt) -> str | None:
        envelope = attempt.claim.envelope
        return self._follower.paused(pool=self._pool, tenant=envelope.tenant, task_type=envelope.type)

    def may_leave(self, attempt: Attempt) -> bool:
        """Asked once more right before a request's bytes leave: connecting may have taken seconds."""
        return self._paused(attempt) is None

    async def _not_paused(self, attempt: Attempt, until: float) -> None:
        patience = min(until, time.monotonic() + PAUSE_PATIENCE_SECONDS)
        while (paused := self._paused(attempt)) is not None:
            if time.monotonic() >= patience:
                raise _Stopped(Paused(paused))
            await asyncio.sleep(PAUSE_CHECK_SECONDS)
