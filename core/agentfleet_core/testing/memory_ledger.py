"""A ledger in memory that keeps the same promises as the one in Redis, for tests and as its model.

Time stands still unless the test moves `now_ms`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agentfleet_core.budget.limits import (
    Balance,
    Hold,
    LimitWindow,
    Refused,
    Reserved,
    Settled,
    Swept,
    Waiting,
)
from agentfleet_core.budget.money import exact_nano


@dataclass(slots=True)
class _Counts:
    spent: int = 0
    held: int = 0
    unconfirmed: int = 0


@dataclass(slots=True)
class _Record:
    hold: Hold
    lease_ends_ms: int
    state: str = "held"
    """held, sent; then settled, charged or released, which stay as tombstones."""
    booked: int = 0

    @property
    def open(self) -> bool:
        return self.state in ("held", "sent")


@dataclass(slots=True)
class MemoryLedger:
    now_ms: int = 1_000_000
    _holds: dict[tuple[str, str], _Record] = field(default_factory=dict)
    _counts: dict[tuple[str, str], _Counts] = field(default_factory=dict)
    _waits: dict[tuple[str, str], tuple[int, Waiting]] = field(default_factory=dict)
    """Tenant and hold id to when it gives up, and what it waits for."""

    async def reserve(
        self, tenant: str, hold_id: str, amount: int, limits: Sequence[LimitWindow], *, lease_ms: int
    ) -> Reserved | Refused:
        hold = Hold(hold_id, tenant, amount, tuple(limits))
        if (tenant, hold_id) in self._holds:
            return Reserved(hold)
        for limit in limits:
            if limit.end_ms > 0 and not limit.start_ms <= self.now_ms < limit.end_ms:
                return Refused(limit.name, amount, 0, 0, limit.amount, False, limit.end_ms, stale=True)
        await self.sweep(tenant)
        refusals = [refused for limit in limits if (refused := self._refusal(hold, limit)) is not None]
        if refusals:
            return max(refusals, key=_how_long)
        for counts in self._of(hold):
            counts.held += amount
        self._holds[tenant, hold_id] = _Record(hold, self.now_ms + lease_ms)
        return Reserved(hold)

    async def mark_sent(self, hold: Hold) -> bool:
        record = self._holds.get((hold.tenant, hold.id))
        if record is None or not record.open or record.lease_ends_ms <= self.now_ms:
            return False
        record.state = "sent"
        return True

    async def settle(self, hold: Hold, cost: int, *, unconfirmed: bool = False) -> Settled:
        record = self._holds.get((hold.tenant, hold.id))
        if record is not None and record.open:
            self._end(record, exact_nano(cost), unconfirmed=unconfirmed)
            return Settled(cost, max(0, cost - hold.amount), already=False)
        if record is None or record.state != "charged" or unconfirmed:
            return Settled(record.booked if record else 0, 0, already=True)
        charged = record.booked
        for counts in self._of(record.hold):
            counts.spent += cost - charged
            counts.unconfirmed -= charged
        record.state, record.booked = "settled", cost
        return Settled(cost, max(0, cost - charged), already=False)

    async def release(self, hold: Hold) -> None:
        record = self._holds.get((hold.tenant, hold.id))
        if record is not None and record.state == "held":
            self._end(record, 0, unconfirmed=False)
            record.state = "released"

    async def extend(self, holds: Sequence[Hold], *, lease_ms: int) -> None:
        for hold in holds:
            record = self._holds.get((hold.tenant, hold.id))
            if record is not None and record.open:
                record.lease_ends_ms = self.now_ms + lease_ms

    async def sweep(self, tenant: str) -> Swept:
        swept = Swept(0, 0, 0)
        for (owner, _), record in self._holds.items():
            if owner != tenant or not record.open or record.lease_ends_ms > self.now_ms:
                continue
            if record.state == "sent":
                amount = record.hold.amount
                self._end(record, amount, unconfirmed=True)
                swept = replace(
                    swept, charged=swept.charged + 1, charged_amount=swept.charged_amount + amount
                )
            else:
                self._end(record, 0, unconfirmed=False)
                record.state = "released"
                swept = replace(swept, released=swept.released + 1)
        return swept

    async def note_wait(self, tenant: str, waiting: Waiting, *, wait_ms: int) -> None:
        self._waits[tenant, waiting.hold_id] = (self.now_ms + wait_ms, waiting)

    async def waits(self, tenant: str) -> list[Waiting]:
        return [
            waiting
            for key, (until_ms, waiting) in self._waits.items()
            if key[0] == tenant and until_ms > self.now_ms and key not in self._holds
        ]

    async def balances(self, tenant: str, limits: Sequence[LimitWindow]) -> list[Balance]:
        counts = [self._counts.get((tenant, limit.key), _Counts()) for limit in limits]
        return [
            Balance(limit, each.spent, each.held, each.unconfirmed)
            for limit, each in zip(limits, counts, strict=True)
        ]

    def _end(self, record: _Record, cost: int, *, unconfirmed: bool) -> None:
        for counts in self._of(record.hold):
            counts.held -= record.hold.amount
            counts.spent += cost
            counts.unconfirmed += cost if unconfirmed else 0
        record.state, record.booked = "charged" if unconfirmed else "settled", cost

    def _refusal(self, hold: Hold, limit: LimitWindow) -> Refused | None:
        counts = self._counts.get((hold.tenant, limit.key), _Counts())
        if counts.spent + counts.held + hold.amount <= limit.amount:
            return None
        by_holds = counts.spent + hold.amount <= limit.amount
        return Refused(
            limit.name, hold.amount, counts.spent, counts.held, limit.amount, by_holds, limit.end_ms
        )

    def _of(self, hold: Hold) -> list[_Counts]:
        return [self._counts.setdefault((hold.tenant, limit.key), _Counts()) for limit in hold.limits]


def _how_long(refused: Refused) -> float:
    """Which refusal stays so the longest: exhausted before held, then the latest reset."""
    if refused.by_holds:
        return -1.0
    return float(refused.resets_at_ms or "inf")
