"""A worker among others: draining, lost leases, cancels, pauses, budgets, a blocked loop."""

import asyncio
import json

import pytest
from tests.integration.worker.handlers import GATES
from tests.integration.worker.rig import Fleet, output, problem, script, spent_and_held
from tests.integration.worker.test_forkserver import Server, environment

from agentfleet_cli.simulator.server import Simulator
from agentfleet_core.fleet.store import set_pause
from agentfleet_core.queue.envelope import TaskState
from agentfleet_worker.process.leases import REPLACED_EXIT_CODE

Provider = tuple[Simulator, str]


@pytest.fixture
def gate(request: pytest.FixtureRequest) -> asyncio.Event:
    gate = GATES[request.node.name] = asyncio.Event()
    return gate


async def until_running(fleet: Fleet, task_id: str) -> None:
    await fleet.event(task_id, "step")


async def test_a_stopping_worker_finishes_what_it_runs(
    fleet: Fleet, gate: asyncio.Event, request: pytest.FixtureRequest
) -> None:
    fleet.handler("wait_for_gate")
    await fleet.publish()
    async with fleet.worker() as worker:
        running = await fleet.submit("wait-for-gate", gate=request.node.name)
        await until_running(fleet, running)
        worker.stop()
        queued = await fleet.submit("wait-for-gate", gate=request.node.name)
        gate.set()
        assert output(await fleet.ended(running)) == {"gate": request.node.name}
    assert (await fleet.record(queued)).state is TaskState.QUEUED
    assert await fleet.queue.workers() == []


async def test_what_does_not_end_within_the_grace_is_handed_back_with_its_journal(
    fleet: Fleet, gate: asyncio.Event, request: pytest.FixtureRequest
) -> None:
    fleet.handler("wait_for_gate")
    await fleet.publish()
    task = await fleet.submit("wait-for-gate", gate=request.node.name)
    async with fleet.worker(grace_seconds=0.1):
        await until_running(fleet, task)
    left = await fleet.record(task)
    assert (left.state, left.failures) == (TaskState.QUEUED, 0)
    gate.set()
    async with fleet.worker("w2"):
        record = await fleet.ended(task)
    assert output(record) == {"gate": request.node.name}
    assert (record.attempt, record.failures) == (2, 0)


async def test_a_cancelled_task_stops_within_a_renewal(
    fleet: Fleet, gate: asyncio.Event, request: pytest.FixtureRequest
) -> None:
    fleet.handler("wait_for_gate")
    fleet.pool(concurrency=1)
    await fleet.publish()
    async with fleet.worker(lease_seconds=1.0):
        task = await fleet.submit("wait-for-gate", gate=request.node.name)
        await until_running(fleet, task)
        assert await fleet.queue.cancel(task, "not needed any more")
        # The slot is free again: what comes next runs, in a worker that runs one task at a time.
        gate_of_next = GATES["next"] = asyncio.Event()
        gate_of_next.set()
        assert output(await fleet.run("wait-for-gate", gate="next")) == {"gate": "next"}
    assert (await fleet.record(task)).state is TaskState.CANCELLED


@pytest.mark.parametrize("target", ["fleet", "pool/interactive", "tenant/acme", "task-type/three-calls"])
async def test_a_pause_stops_paid_calls_within_a_second_and_a_resume_undoes_it(
    fleet: Fleet, provider: Provider, target: str
) -> None:
    provider[0].behaviour = provider[0].behaviour.changed({"speed": 1.0, "seconds": 0.2})
    fleet.handler("three_calls")
    await fleet.publish()
    async with fleet.worker():
        tasks = [await fleet.submit("three-calls", label=str(number)) for number in range(30)]
        await fleet.event(tasks[0], "step")
        await set_pause(fleet.redis, fleet.keys, target, True, "test")
        await asyncio.sleep(1.0)  # the promise
        before = provider[0].bill.total.calls
        await asyncio.sleep(0.4)
        assert 0 < provider[0].bill.total.calls == before < 3 * len(tasks)
        await set_pause(fleet.redis, fleet.keys, target, False, "test")
        records = [await fleet.ended(task) for task in tasks]
    assert {record.state for record in records} == {"succeeded"}
    assert provider[0].bill.total.calls == 3 * len(tasks)


async def test_a_task_of_a_paused_type_is_not_begun_and_others_go_on(
    fleet: Fleet, gate: asyncio.Event, request: pytest.FixtureRequest
) -> None:
    fleet.handler("wait_for_gate")
    fleet.handler("greet")
    await fleet.publish()
    gate.set()
    await set_pause(fleet.redis, fleet.keys, "task-type/wait-for-gate", True, "test")
    left = await fleet.submit("wait-for-gate", gate=request.node.name)
    async with fleet.worker():
        await fleet.run("greet", name="Ada")
        assert (await fleet.record(left)).state is TaskState.QUEUED
        await set_pause(fleet.redis, fleet.keys, "task-type/wait-for-gate", False, "test")
        assert output(await fleet.ended(left)) == {"gate": request.node.name}


async def test_a_call_above_its_limit_parks_its_task_alone_and_a_larger_limit_lets_it_go_on(
    fleet: Fleet,
) -> None:
    fleet.handler("ask")
    fleet.tenant("acme", {"name": "small", "period": "Total", "amount": "0.000001"})
    await fleet.publish()
    async with fleet.worker():
        task = await fleet.submit("ask", question=script(text="Now."))
        await fleet.event(task, "parked")
        parked = await fleet.record(task)
        assert (parked.state, parked.failures) == (TaskState.PARKED, 0)
        assert parked.reason.startswith("CallAboveLimit: one call may cost $0.00")
        assert (await fleet.queue.counters()).blocked_tenants == {}
        fleet.tenant("acme", {"name": "small", "period": "Total", "amount": "1.00"})
        await fleet.publish()
        record = await fleet.ended(task)
    assert output(record)["text"].startswith("Now.")
    assert await spent_and_held(fleet) == (record.cost, 0)


async def test_calls_that_fill_a_limit_wait_for_each_other(fleet: Fleet, provider: Provider) -> None:
    """Room for one call's worst case at a time, for eight calls at once: none is refused, none overspends."""
    fleet.handler("ask")
    fleet.tenant("acme", {"name": "narrow", "period": "Day", "amount": "0.003"})
    await fleet.publish()
    tasks = [await fleet.submit("ask", question=script(text="Now.", tokens=5)) for _ in range(8)]
    async with fleet.worker():
        records = [await fleet.ended(task) for task in tasks]
    assert {record.attempt for record in records} == {1}
    assert await spent_and_held(fleet) == (sum(record.cost for record in records), 0)


async def test_a_handler_that_blocks_the_loop_is_failed_and_its_neighbours_go_on_elsewhere(
    fleet: Fleet,
) -> None:
    fleet.handler("block_the_loop", timeouts={"stepSeconds": 1}, retry={"maxAttempts": 1})
    fleet.handler("sleep_after_a_step")
    await fleet.publish()
    server = Server()
    assert server.hear() == {"event": "ready"}
    server.say(op="spawn", id="w1", env=environment(fleet, "w1"))
    server.hear()
    neighbour = await fleet.submit("sleep-after-a-step", seconds=1.5)
    await until_running(fleet, neighbour)
    blocker = await fleet.submit("block-the-loop", seconds=3_600)
    assert server.hear() == {"event": "exited", "id": "w1", "code": REPLACED_EXIT_CODE}
    server.say(op="spawn", id="w2", env=environment(fleet, "w2"))
    server.hear()
    ended = await fleet.ended(blocker)
    assert (ended.state, problem(ended)["reason"]) == ("dead", "LoopBlocked")
    assert "at block_the_loop (handlers.py:" in problem(ended)["detail"]
    went_on = await fleet.ended(neighbour)
    assert (went_on.state, went_on.attempt, went_on.failures) == ("succeeded", 2, 0)
    server.close()


async def test_a_task_type_that_is_gone_waits_for_its_return(fleet: Fleet) -> None:
    fleet.handler("greet")
    task = await fleet.submit("greet", name="Ada")
    fleet._types.clear()
    await fleet.publish()
    async with fleet.worker():
        await fleet.event(task, "parked")
    record = await fleet.record(task)
    assert record.reason == "TypeUnknown: this fleet has no TaskType greet now"
    assert json.loads(record.error or b"null") is None


async def test_a_handler_that_ignores_being_stopped_loses_its_slot(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentfleet_worker.running.runner.IGNORED_SECONDS", 0.2)
    fleet.handler("ignore_the_stop", timeouts={"taskSeconds": 1})
    fleet.handler("greet")
    fleet.pool(concurrency=1)
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("ignore-the-stop")
        assert (record.state, problem(record)["reason"]) == ("failed", "TaskTimeout")
        assert output(await fleet.run("greet", name="Ada")) == {"greeting": "Hello, Ada"}


async def test_a_handler_that_never_stops_loses_its_slot(
    fleet: Fleet, gate: asyncio.Event, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one above ends by itself a little later; this one only when the test lets it."""
    monkeypatch.setattr("agentfleet_worker.running.runner.IGNORED_SECONDS", 0.2)
    fleet.handler("ignore_every_stop", timeouts={"taskSeconds": 1})
    fleet.handler("greet")
    fleet.pool(concurrency=1)
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("ignore-every-stop", gate=request.node.name)
        assert (record.state, problem(record)["reason"]) == ("failed", "TaskTimeout")
        try:
            async with asyncio.timeout(10):
                assert output(await fleet.run("greet", name="Ada")) == {"greeting": "Hello, Ada"}
        finally:
            gate.set()
