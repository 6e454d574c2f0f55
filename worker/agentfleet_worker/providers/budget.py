"""Money before a call: not while paused, not faster than the provider lets, and never without a hold.

What stands in the way is waited for as long as the call may take. Then the task is parked, with the reason
and the time at which it can go on; nothing of that is a failure. Budgets fail closed: without Redis there
is no call.
"""

import asyncio
import time
from datetime import UTC, datetime

from agentfleet_core.api.v1alpha1 import TenantBudgetSpec
from agentfleet_core.budget.limits import Hold, LimitWindow, Refused, Reserved
from agentfleet_core.budget.money import usd
from agentfleet_core.budget.room import Room, Wish
from agentfleet_core.budget.standing import spent_words
from agentfleet_core.budget.windows import limit_windows
from agentfleet_core.errors import Unavailable
from agentfleet_core.ports import Ledger
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_worker.attempt import Attempt
from agentfleet_worker.background import Background
from agentfleet_worker.holds import OpenHolds
from agentfleet_worker.outcomes import AttemptStopped, Ending, park
from agentfleet_worker.ports import Follower
from agentfleet_worker.providers.pacing import Pacer

PAUSE_CHECK_SECONDS = 0.1
PAUSE_PATIENCE_SECONDS = 5.0
"""A pause shorter than this is waited out in place; a longer one parks the task, whose deadline then stands
still.
"""
PAUSE_PARK_MS = 2_000
SETTLE_RETRY_SECONDS = 0.2
OUTAGE_CHECK_SECONDS = 0.2
NO_BUDGET_PARK_MS = 60_000
HOLDS_PARK_MS = 1_000


class CallBudget:
    def __init__(
        self,
        ledger: Ledger,
        room: Room,
        follower: Follower,
        holds: OpenHolds,
        pacer: Pacer,
        background: Background,
        *,
        pool: str,
        lease_ms: int,
    ) -> None:
        self._ledger = ledger
        self._room = room
        self._follower = follower
        self._holds = holds
        self._pacer = pacer
        self._background = background
        self._pool = pool
        self._lease_ms = lease_ms

    async def hold(self, attempt: Attempt, hold_id: str, amount: int, *, tier: str, until: float) -> Hold:
        """A hold that is marked sent: the request must leave now. `until`: monotonic, how long to wait for
        it.

        Raises `AttemptStopped` where the task must wait for longer, `Unavailable` without Redis.
        """
        number = 0
        while True:
            await self._not_paused(attempt, until)
            await self._paced(attempt, tier, until)
            number += 1
            try:
                hold = await self._reserve(attempt, f"{hold_id}.{number}", amount, tier=tier, until=until)
                if await self._mark_sent(attempt, hold):
                    return hold
            except Unavailable:
                # Soon the config's silence shows as a pause, and a long one parks the task.
                if time.monotonic() >= until:
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

    async def _reserve(self, attempt: Attempt, hold_id: str, amount: int, *, tier: str, until: float) -> Hold:
        tenant = attempt.claim.envelope.tenant
        outcome = await self._room.reserve(
            Wish(tenant, hold_id, amount, self._lease_ms, until),
            lambda: self._windows(attempt, tier),
            check=lambda: self._not_paused(attempt, until),
        )
        if isinstance(outcome, Reserved):
            return outcome.hold
        if outcome.by_holds or outcome.stale:
            detail = f"open calls of {tenant} hold all that limit {outcome.limit} has left"
            not_before_ms = attempt.now_ms() + HOLDS_PARK_MS
            raise AttemptStopped(park(AttemptReason.WAITING_FOR_HOLDS, detail, not_before_ms=not_before_ms))
        if outcome.never_fits:
            raise AttemptStopped(_above_limit(tenant, outcome))
        raise AttemptStopped(_exhausted(self._budget_of(attempt), outcome))

    def _windows(self, attempt: Attempt, tier: str) -> tuple[LimitWindow, ...]:
        now = datetime.fromtimestamp(attempt.now_ms() / 1000, UTC)
        task_type = attempt.claim.envelope.type
        return limit_windows(self._budget_of(attempt), task_type=task_type, tier=tier, now=now)

    def _budget_of(self, attempt: Attempt) -> TenantBudgetSpec:
        name = attempt.claim.envelope.tenant
        tenant = self._follower.config.tenants.get(name)
        if tenant is None:
            detail = f"tenant {name} has no TenantBudget now"
            not_before_ms = attempt.now_ms() + NO_BUDGET_PARK_MS
            raise AttemptStopped(park(AttemptReason.BUDGET_MISSING, detail, not_before_ms=not_before_ms))
        return tenant.spec

    def _paused(self, attempt: Attempt) -> str | None:
        envelope = attempt.claim.envelope
        return self._follower.paused(pool=self._pool, tenant=envelope.tenant, task_type=envelope.type)

    async def _paced(self, attempt: Attempt, tier: str, until: float) -> None:
        seconds = await self._pacer.wait(tier, until)
        if seconds:
            not_before_ms = attempt.now_ms() + int(seconds * 1000)
            detail = f"the provider asked tier {tier} to wait for another {seconds:.0f} s"
            raise AttemptStopped(park(AttemptReason.THROTTLED, detail, not_before_ms=not_before_ms))

    def may_leave(self, attempt: Attempt) -> bool:
        """Asked once more right before a request's bytes leave: connecting may have taken seconds."""
        return self._paused(attempt) is None

    async def _not_paused(self, attempt: Attempt, until: float) -> None:
        patience = min(until, time.monotonic() + PAUSE_PATIENCE_SECONDS)
        while (paused := self._paused(attempt)) is not None:
            if time.monotonic() >= patience:
                not_before_ms = attempt.now_ms() + PAUSE_PARK_MS
                detail = f"{paused} is paused"
                raise AttemptStopped(park(AttemptReason.PAUSED, detail, not_before_ms=not_before_ms))
            await asyncio.sleep(PAUSE_CHECK_SECONDS)


def _above_limit(tenant: str, refused: Refused) -> Ending:
    """This task alone waits, for a larger limit: the tenant's smaller calls go on."""
    detail = (
        f"one call may cost {usd(refused.needed)}, more than all {usd(refused.amount)} of limit "
        f"{refused.limit} of {tenant}; lower maxOutputTokens, shorten the prompt, or raise the limit"
    )
    return park(AttemptReason.CALL_ABOVE_LIMIT, detail, not_before_ms=refused.resets_at_ms)


def _exhausted(spec: TenantBudgetSpec, refused: Refused) -> Ending:
    """The whole tenant waits, if the limit counts all that it does here; else this task alone."""
    limit = next((each for each in spec.limits if each.name == refused.limit), None)
    counts_all = limit is not None and limit.task_type is None and limit.tier is None
    detail = (
        f"a call that may cost {usd(refused.needed)} does not fit {spec.tenant}'s limit {refused.limit}: "
        + spent_words(refused.limit, refused.spent, refused.amount)
    )
    # 0, of a Total limit that never resets: until the tenant is unblocked.
    until = refused.resets_at_ms
    return park(AttemptReason.BUDGET_EXHAUSTED, detail, not_before_ms=until, block_tenant=counts_all)
