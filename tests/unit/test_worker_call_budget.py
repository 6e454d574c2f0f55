"""What stands between a paid call and its hold, when it comes in the middle."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from tests.unit.call_rig import Calls, Switchboard, Wire, said

from agentfleet_core.budget.limits import Hold, LimitWindow, Refused, Reserved
from agentfleet_core.testing.memory_ledger import MemoryLedger


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


async def test_a_pause_that_comes_after_the_reserve_keeps_the_call_back(tmp_path: Path) -> None:
    ledger = PausedWhileReserving()
    wire = Wire(lambda _: httpx2.Response(200, content=said("hi")))
    calls = Calls(tmp_path, wire, ledger.switchboard, ledger=ledger)
    asked = asyncio.create_task(calls.ask(say="hello", most=100))
    given_back = asyncio.create_task(ledger.given_back.wait())
    await asyncio.wait((asked, given_back), return_when=asyncio.FIRST_COMPLETED)
    assert (given_back.done(), asked.done(), ledger.sent, wire.sent) == (True, False, [], [])
    assert [counts.held for counts in ledger._counts.values()] == [0]
    ledger.switchboard.on = None
    await asked
    assert [hold.rpartition("/")[2] for hold in ledger.sent] == ["answer.1.2"]
    assert len(wire.sent) == 1
