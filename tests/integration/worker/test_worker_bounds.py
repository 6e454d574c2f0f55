"""What stops a task before it does harm: a pause while its call still connects, a journal without end."""

import asyncio
from typing import Any

import httpcore2
import httpx2
import pytest
from tests.integration.worker.rig import Fleet, output, problem, script, spent_and_held

from agentfleet_cli.simulator.server import Simulator
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import Settled
from agentfleet_core.fleet.store import ConfigFollower
from agentfleet_worker.attempt import attempt
from agentfleet_worker.main import Worker

Provider = tuple[Simulator, str]


class SlowConnections(httpcore2.AsyncNetworkBackend):
    """Makes no connection before it may."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_connect = asyncio.Event()
        self._real = httpcore2.AnyIOBackend()

    async def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        self.asked.set()
        await self.may_connect.wait()
        return await self._real.connect_tcp(*args, **kwargs)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> SlowConnections:
    slow = SlowConnections()

    def wire(self: Worker) -> httpx2.AsyncBaseTransport:
        transport = httpx2.AsyncHTTPTransport()
        transport._pool = httpcore2.AsyncConnectionPool(network_backend=slow)
        return transport

    monkeypatch.setattr(Worker, "wire", wire)
    return slow


async def test_a_pause_while_a_call_connects_keeps_it_from_leaving_and_costs_nothing(
    fleet: Fleet, provider: Provider, connections: SlowConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.handler("ask")
    await fleet.publish()
    paused, settled = asyncio.Event(), asyncio.Event()
    settle = RedisLedger.settle

    async def noted_settle(self: RedisLedger, *args: Any, **options: Any) -> Settled:
        try:
            return await settle(self, *args, **options)
        finally:
            settled.set()

    monkeypatch.setattr(RedisLedger, "settle", noted_settle)
    monkeypatch.setattr(ConfigFollower, "paused", lambda self, **_: "the fleet" if paused.is_set() else None)
    async with fleet.worker():
        task = await fleet.submit("ask", question=script(text="It ships."))
        await connections.asked.wait()
        assert (await spent_and_held(fleet))[1] > 0
        paused.set()
        connections.may_connect.set()
        await settled.wait()
        assert provider[0].bill.total.calls == 0
        assert await spent_and_held(fleet) == (0, 0)
        paused.clear()
        record = await fleet.ended(task)
    assert output(record)["text"].startswith("It ships.")
    assert (record.attempt, provider[0].bill.total.calls) == (1, 1)
    assert await spent_and_held(fleet) == (record.cost, 0)


@pytest.mark.parametrize(
    ("bound", "most", "says"),
    [
        ("MAX_JOURNAL_ENTRIES", 3, "has journaled 3 steps"),
        ("MAX_JOURNAL_BYTES", 30_000, "has journaled 3 steps with 29.6 KiB"),
    ],
)
async def test_a_task_that_journals_without_end_fails_and_is_told_what_to_do(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, bound: str, most: int, says: str
) -> None:
    monkeypatch.setattr(attempt, bound, most)
    fleet.handler("journal_without_end")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("journal-without-end", size=10_000)
    assert (record.state, problem(record)["reason"], record.attempt) == ("failed", "JournalFull", 1)
    assert says in problem(record)["detail"]
    assert "split it into several tasks" in problem(record)["detail"]
    assert sorted(await fleet.steps(record.envelope.id)) == ["more", "more#2", "more#3"]


async def test_no_call_is_paid_for_that_the_journal_could_not_keep_also_after_a_retry(
    fleet: Fleet, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What earlier attempts journaled counts, and is replayed nevertheless."""
    monkeypatch.setattr(attempt, "MAX_JOURNAL_ENTRIES", 1)
    fleet.handler("ask_again_after_a_retry")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("ask-again-after-a-retry", question=script(text="It ships."))
    assert (record.state, problem(record)["reason"], record.attempt) == ("failed", "JournalFull", 2)
    assert provider[0].bill.total.calls == 1
    assert await spent_and_held(fleet) == (record.cost, 0)
