"""A task's life with failures as a golden text: claim, crash, replay, park, go on (`--update-golden`).

The queue is the fake that ships, with a clock of the story's own; times are seconds since the submit.
"""

import time
from pathlib import Path

import pytest

from agentfleet_core.queue.envelope import (
    Claim,
    Envelope,
    JournalEntry,
    SettleKind,
    Settlement,
    SettleOutcome,
    TaskState,
)
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.testing.memory_queue import MemoryQueue

STORY = Path(__file__).parent / "tasks" / "a_task_outlives_a_crash_and_an_empty_budget.txt"
LEASE_MS = 15_000


class Teller:
    def __init__(self) -> None:
        self.began_ms = time.time_ns() // 1_000_000
        self.queue = MemoryQueue("chat", now_ms=self.began_ms)
        self.lines: list[str] = []
        self._heard = 0

    async def tell(self, text: str) -> None:
        """A line of the story, then what a follower of the task heard of it and how it stands."""
        self.lines.append(f"{self._second(self.queue.now_ms)}  {text}")
        [record] = await self.queue.get([self.task_id])
        assert record is not None
        for event in self.queue._tasks[self.task_id].events[self._heard :]:
            self._heard += 1
            self.lines.append(f"            event {event.type} of attempt {event.attempt}")
        due = f" until {self._second(record.not_before_ms)}" if record.state is TaskState.PARKED else ""
        self.lines.append(
            f"            {record.state}{due}, attempt {record.attempt}, failures {record.failures}, "
            f"cost {record.cost}" + (f", reason {record.reason}" if record.reason else "")
        )

    async def submit(self) -> None:
        envelope = Envelope(
            id=new_task_id("chat"), tenant="acme", type="refund", priority=50, revision="r1", tier="fast",
            tier_reason="TierDefault", input=b"{}", labels={}, max_attempts=3,
        )  # fmt: skip
        self.task_id = envelope.id
        assert await self.queue.submit([envelope]) == [True]
        await self.tell("acme submits a refund")

    async def claim(self, worker: str) -> Claim:
        [claim] = await self.queue.claim(worker, 1, lease_ms=LEASE_MS)
        journaled = ", ".join(claim.journal) or "nothing"
        await self.tell(f"{worker} claims it; journaled before: {journaled}")
        return claim

    async def journal(self, claim: Claim, step: str, cost: int = 0) -> None:
        [current] = await self.queue.journal([JournalEntry(self.task_id, claim.attempt, step, b"{}", cost)])
        what = "journals" if current else "is too late to journal"
        await self.tell(f"attempt {claim.attempt} {what} {step}")

    async def settle(self, claim: Claim, text: str, kind: SettleKind, **how: object) -> None:
        settlement = Settlement(self.task_id, claim.attempt, kind, **how)  # type: ignore[arg-type]
        [outcome] = await self.queue.settle([settlement])
        assert outcome is SettleOutcome.DONE
        await self.tell(text)

    def _second(self, at_ms: float) -> str:
        return f"{(at_ms - self.began_ms) / 1000:7.1f} s"


async def test_a_task_outlives_a_crash_and_an_empty_budget(request: pytest.FixtureRequest) -> None:
    teller = Teller()
    await teller.submit()
    await teller.queue.advance(200)
    first = await teller.claim("w1")
    await teller.journal(first, "look-up", 1_000)
    await teller.queue.advance(LEASE_MS + 1_000)
    await teller.tell("w1 was killed a while ago, and nobody renewed its lease")
    second = await teller.claim("w2")
    assert list(second.journal) == ["look-up"], "not paid for again"
    await teller.journal(first, "decide", 9_000)
    await teller.journal(second, "decide", 2_000)
    until = teller.queue.now_ms + 3_600_000
    await teller.settle(
        second, "the next call finds no room on the limit `day`", SettleKind.PARK,
        reason="BudgetExhausted", not_before_ms=until, block_tenant=True,
    )  # fmt: skip
    assert await teller.queue.claim("w2", 1, lease_ms=LEASE_MS) == [], "the tenant waits"
    await teller.queue.advance(60_000)
    await teller.queue.unblock("acme")
    await teller.tell("the limit is raised")
    third = await teller.claim("w3")
    assert list(third.journal) == ["look-up", "decide"]
    await teller.settle(third, "it is done", SettleKind.END, state=TaskState.SUCCEEDED, output=b'"refunded"')
    text = "\n".join(teller.lines) + "\n"
    if request.config.getoption("--update-golden", default=False):
        STORY.parent.mkdir(exist_ok=True)
        STORY.write_text(text)
    assert text == STORY.read_text()
