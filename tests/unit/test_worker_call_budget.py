"""What stands between a paid call and its hold, when it comes in the middle."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from agentfleet_core.api.v1alpha1 import TaskTypeSpec, TenantBudgetSpec
from agentfleet_core.budget.limits import Hold, LimitWindow, Refused, Reserved
from agentfleet_core.budget.room import Room
from agentfleet_core.budget.windows import limit_windows
from agentfleet_core.fleet.config import CompiledTenant, FleetConfig
from agentfleet_core.fleet.pauses import Pauses
from agentfleet_core.keyspace.connect import channels_of, connect
from agentfleet_core.queue.envelope import Claim, Envelope, SettleKind
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.settings import FleetId
from agentfleet_core.testing.memory_ledger import MemoryLedger
from agentfleet_worker.attempt import Attempt
from agentfleet_worker.background import Background
from agentfleet_worker.holds import OpenHolds
from agentfleet_worker.outcomes import AttemptStopped
from agentfleet_worker.providers.budget import CallBudget
from agentfleet_worker.providers.pacing import Pacer

TENANT = TenantBudgetSpec.model_validate(
    {"tenant": "acme", "limits": [{"name": "total", "period": "Total", "amount": "1.00"}]}
)
NOW = datetime(2026, 11, 24, tzinfo=UTC)
ENVELOPE = Envelope("p.01kavqz8s3h6x2m4n7p9q1r5t8", "acme", "greet", 50, "r1", "fast", "", b"{}")


class Switchboard:
    """A follower whose pause a test flips."""

    config = FleetConfig(
        install="test", namespace="ns", pools={}, task_types={}, tiers={},
        tenants={"acme": CompiledTenant(budget="acme", spec=TENANT)},
    )  # fmt: skip

    def __init__(self) -> None:
        self.on: str | None = None

    @property
    def pauses(self) -> Pauses:
        raise AssertionError("a paid call asks for its own pause")

    def paused(
        self, *, pool: str | None = None, tenant: str | None = None, task_type: str | None = None
    ) -> str | None:
        return self.on


@dataclass(slots=True)
class PausedWhileReserving(MemoryLedger):
    """The pause comes while the first reserve is under way."""

    switchboard: Switchboard = field(default_factory=Switchboard)
    sent: list[str] = field(default_factory=list)
    given_back: asyncio.Event = field(default_factory=asyncio.Event)

    async def reserve(
        self, tenant: str, hold_id: str, amount: int, limits: Sequence[LimitWindow], *, lease_ms: int
    ) -> Reserved | Refused:
        if not self.given_back.is_set():
            self.switchboard.on = "fleet"
        return await MemoryLedger.reserve(self, tenant, hold_id, amount, limits, lease_ms=lease_ms)

    async def mark_sent(self, hold: Hold) -> bool:
        self.sent.append(hold.id)
        return await MemoryLedger.mark_sent(self, hold)

    async def release(self, hold: Hold) -> None:
        await MemoryLedger.release(self, hold)
        self.given_back.set()


def call_budget(ledger: MemoryLedger, follower: Switchboard, pacer: Pacer) -> CallBudget:
    nobody = connect("redis://127.0.0.1:1")  # only who waits for another's settle listens to it
    room = Room(ledger, channels_of(nobody), FleetId("test", "ns"))
    return CallBudget(ledger, room, follower, OpenHolds(), pacer, Background(), pool="p", lease_ms=3_000)


def attempt() -> Attempt:
    claim = Claim(ENVELOPE, 1, 0, 1, 1_000, 0, 1_000, {})
    spec = TaskTypeSpec.model_validate(
        {"pool": "p", "handler": "a:b", "tier": {"default": "fast", "lowest": "fast", "highest": "fast"}}
    )
    return Attempt(claim, spec, time.monotonic())


async def test_a_pause_that_comes_after_the_reserve_keeps_the_call_back() -> None:
    ledger = PausedWhileReserving()
    budget = call_budget(ledger, ledger.switchboard, Pacer())
    until = time.monotonic() + 60
    asked = asyncio.create_task(budget.hold(attempt(), "call", 100, tier="fast", until=until))
    given_back = asyncio.create_task(ledger.given_back.wait())
    await asyncio.wait((asked, given_back), return_when=asyncio.FIRST_COMPLETED)
    assert (given_back.done(), asked.done(), ledger.sent) == (True, False, [])
    (balance,) = await ledger.balances("acme", limit_windows(TENANT, task_type="t", tier="fast", now=NOW))
    assert balance.held == 0
    ledger.switchboard.on = None
    hold = await asked
    assert ledger.sent == [hold.id] == ["call.2"]


async def test_a_tier_that_is_free_only_after_the_call_may_end_parks_its_task() -> None:
    pacer = Pacer()
    pacer.pause("fast", 120)
    ledger = MemoryLedger()
    running = attempt()
    until = time.monotonic() + 60
    with pytest.raises(AttemptStopped) as stopped:
        await call_budget(ledger, Switchboard(), pacer).hold(running, "call", 100, tier="fast", until=until)
    ending = stopped.value.ending
    assert (ending.kind, ending.reason) == (SettleKind.PARK, AttemptReason.THROTTLED)
    assert 118_000 < ending.not_before_ms - running.now_ms() <= 120_000


async def test_another_tier_does_not_wait() -> None:
    pacer = Pacer()
    pacer.pause("capable", 120)
    until = time.monotonic() + 60
    budget = call_budget(MemoryLedger(), Switchboard(), pacer)
    assert (await budget.hold(attempt(), "call", 100, tier="fast", until=until)).id == "call.1"
