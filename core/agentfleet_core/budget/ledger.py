"""The ledger in Redis: one script an operation, on keys of the tenant's slot, each safe to send twice.

What the scripts keep true is in their headers. Here are the arguments, the answers as words of `limits`, and
metrics. Forbidden: deciding anything about money in Python, and catching `Unavailable`: budgets fail closed.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.asyncio import Redis

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
from agentfleet_core.budget.money import NANO_PER_USD, exact_nano
from agentfleet_core.keyspace.connect import reaching_redis
from agentfleet_core.keyspace.keys import TenantKeys
from agentfleet_core.keyspace.scripts import Call, load_script, run_all
from agentfleet_core.settings import FleetId
from agentfleet_core.telemetry import metrics

TOMBSTONE_MS: Final = 600_000
"""How long an ended hold is remembered: longer than any duplicate of its commands can be under way."""
CORRECTABLE_MS: Final = 86_400_000
"""How long a charge without the provider's word can still be replaced by the real cost."""
KEPT_MS: Final = 2 * 86_400_000
"""A window's counts are kept this long after its end, or for twice its length where that is longer."""
WAITS_KEPT: Final = 1_000
SWEEP_BATCH: Final = 100
SWEPT_TOGETHER: Final = 200
"""Tenants swept in one write, which holds others up in Redis until it is done."""

_RESERVE = load_script(__package__, "lua/reserve")
_MARK_SENT = load_script(__package__, "lua/mark_sent")
_SETTLE = load_script(__package__, "lua/settle")
_RELEASE = load_script(__package__, "lua/release")
_EXTEND = load_script(__package__, "lua/extend")
_SWEEP = load_script(__package__, "lua/sweep")
_NOTE_WAIT = load_script(__package__, "lua/note_wait")
_WAITS = load_script(__package__, "lua/waits")


class RedisLedger:
    """Implements `ports.Ledger`.

    Every method raises `Unavailable` when Redis cannot be reached; whether the script ran is then unknown, so
    call again with the same hold: that is safe.
    """

    def __init__(self, redis: Redis, fleet_id: FleetId) -> None:
        self._redis = redis
        self._fleet = fleet_id
        self._seconds = {
            name: metrics.LEDGER_SECONDS.labels(name)
            for name in ("reserve", "mark_sent", "settle", "release")
        }

    def keys(self, tenant: str) -> TenantKeys:
        return TenantKeys(self._fleet, tenant)

    async def reserve(
        self, tenant: str, hold_id: str, amount: int, limits: Sequence[LimitWindow], *, lease_ms: int
    ) -> Reserved | Refused:
        keys = self.keys(tenant)
        hold = Hold(hold_id, tenant, amount, tuple(limits))
        windows = ",".join(limit.key for limit in limits)
        args: list[str | int] = [keys.tag, hold_id, amount, lease_ms, windows]
        args += (TOMBSTONE_MS, CORRECTABLE_MS, keys.room)
        for limit in limits:
            args += (limit.amount, limit.start_ms, limit.end_ms, _kept_ms(limit))
        with self._seconds["reserve"].time():
            reply = await _RESERVE.run(self._redis, _hold_keys(keys, hold), args)
        return _reservation(hold, reply)

    async def mark_sent(self, hold: Hold) -> bool:
        keys = self.keys(hold.tenant)
        with self._seconds["mark_sent"].time():
            sent = await _MARK_SENT.run(self._redis, (keys.leases, keys.hold(hold.id)), (hold.id,))
        return bool(sent)

    async def settle(self, hold: Hold, cost: int, *, unconfirmed: bool = False) -> Settled:
        keys = self.keys(hold.tenant)
        args = (hold.id, exact_nano(cost), int(unconfirmed), TOMBSTONE_MS, CORRECTABLE_MS, keys.room)
        with self._seconds["settle"].time():
            reply = await _SETTLE.run(self._redis, _hold_keys(keys, hold), args)
        already, booked, held = bool(reply[0]), int(reply[1]), int(reply[2])
        overrun = 0 if already else max(0, booked - held)
        if overrun:
            metrics.OVERRUN_USD.labels(metrics.TENANTS.of(hold.tenant)).inc(overrun / NANO_PER_USD)
        if unconfirmed and not already:
            metrics.UNCONFIRMED_USD.labels(metrics.TENANTS.of(hold.tenant)).inc(booked / NANO_PER_USD)
        return Settled(cost=booked, overrun=overrun, already=already)

    async def release(self, hold: Hold) -> None:
        keys = self.keys(hold.tenant)
        with self._seconds["release"].time():
            await _RELEASE.run(self._redis, _hold_keys(keys, hold), (hold.id, TOMBSTONE_MS, keys.room))

    async def extend(self, holds: Sequence[Hold], *, lease_ms: int) -> None:
        calls = self.extend_calls(holds, lease_ms=lease_ms)
        if calls:
            await run_all(self._redis, calls)

    def extend_calls(self, holds: Sequence[Hold], *, lease_ms: int) -> list[Call]:
        """The scripts that `extend` runs, for one who has a Redis connection of another kind."""
        ids: dict[str, list[str]] = {}
        for hold in holds:
            ids.setdefault(hold.tenant, []).append(hold.id)
        return [
            _EXTEND.call((self.keys(tenant).leases,), (lease_ms, *of_it)) for tenant, of_it in ids.items()
        ]

    async def sweep(self, tenant: str) -> Swept:
        return (await self.sweep_all((tenant,)))[tenant]

    async def sweep_all(self, tenants: Sequence[str]) -> dict[str, Swept]:
        """Many tenants in a round trip, and again those that had more than a batch."""
        totals = dict.fromkeys(tenants, Swept(0, 0, 0))
        waiting = deque(totals)
        while waiting:
            some = [waiting.popleft() for _ in range(min(len(waiting), SWEPT_TOGETHER))]
            replies = await run_all(self._redis, [self._sweep_call(tenant) for tenant in some])
            for tenant, reply in zip(some, replies, strict=True):
                swept = Swept(*map(int, reply))
                totals[tenant] += swept
                if swept.charged_amount:
                    usd = swept.charged_amount / NANO_PER_USD
                    metrics.UNCONFIRMED_USD.labels(metrics.TENANTS.of(tenant)).inc(usd)
                if swept.released + swept.charged == SWEEP_BATCH:
                    waiting.append(tenant)
        return totals

    def _sweep_call(self, tenant: str) -> Call:
        keys = self.keys(tenant)
        return _SWEEP.call((keys.leases,), (keys.tag, SWEEP_BATCH, TOMBSTONE_MS, CORRECTABLE_MS, keys.room))

    async def note_wait(self, tenant: str, waiting: Waiting, *, wait_ms: int) -> None:
        note = f"{waiting.amount}|{waiting.limit}|{waiting.hold_id}"
        await _NOTE_WAIT.run(self._redis, (self.keys(tenant).waits,), (note, wait_ms, WAITS_KEPT))

    async def waits(self, tenant: str) -> list[Waiting]:
        keys = self.keys(tenant)
        found = await _WAITS.run(self._redis, (keys.waits,), (keys.tag,))
        notes = (note.decode().split("|", 2) for note in found)
        return [Waiting(hold_id, limit, int(amount)) for amount, limit, hold_id in notes]

    async def balances(self, tenant: str, limits: Sequence[LimitWindow]) -> list[Balance]:
        return (await self.all_balances({tenant: limits}))[tenant]

    async def all_balances(self, limits: Mapping[str, Sequence[LimitWindow]]) -> dict[str, list[Balance]]:
        """Several tenants' balances in one round trip, for those who show or plan."""
        pipeline = self._redis.pipeline(transaction=False)
        for tenant, windows in limits.items():
            for window in windows:
                pipeline.hmget(self.keys(tenant).limit(window.key), ("spent", "held", "unconfirmed"))
        with reaching_redis():
            counts = iter(await pipeline.execute())
        return {
            tenant: [_balance(each, next(counts)) for each in windows] for tenant, windows in limits.items()
        }


def _hold_keys(keys: TenantKeys, hold: Hold) -> list[str]:
    return [keys.leases, keys.hold(hold.id), *(keys.limit(limit.key) for limit in hold.limits)]


def _kept_ms(limit: LimitWindow) -> int:
    return max(KEPT_MS, 2 * (limit.end_ms - limit.start_ms))


def _reservation(hold: Hold, reply: Sequence[Any]) -> Reserved | Refused:
    if reply[0] == b"reserved":
        metrics.RESERVES.labels("reserved").inc()
        return Reserved(hold)
    limit = hold.limits[reply[1] - 1]
    stale = reply[0] == b"stale"
    by_holds = not stale and bool(reply[4])
    metrics.RESERVES.labels("stale" if stale else "blocked_by_holds" if by_holds else "exhausted").inc()
    return Refused(
        limit=limit.name,
        needed=hold.amount,
        spent=0 if stale else int(reply[2]),
        held=0 if stale else int(reply[3]),
        amount=limit.amount,
        by_holds=by_holds,
        resets_at_ms=limit.end_ms,
        stale=stale,
    )


def _balance(limit: LimitWindow, counts: Sequence[bytes | None]) -> Balance:
    spent, held, unconfirmed = (int(count or 0) for count in counts)
    return Balance(limit, spent, held, unconfirmed)
