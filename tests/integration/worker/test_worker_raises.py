"""Whatever users' code raises becomes its task's failure, with words; the worker and its others go on."""

import asyncio
import subprocess
import sys

import pytest
from tests.integration.worker.handlers import GATES
from tests.integration.worker.rig import Fleet, output, problem

from agentfleet_core.queue.envelope import TaskState

PLACES = ["raise_it", "raise_in_a_thread", "raise_in_a_step", "raise_in_a_group"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("exit", "SystemExit(3) was raised; it cannot end a worker: return, or raise HandlerFailed"),
        ("interrupt", "KeyboardInterrupt was raised; it cannot end a worker"),
        ("base", "BaseException: odd"),
        ("wordless", "Wordless: its text cannot be had: __str__ raised RuntimeError"),
        ("surrogate", r"ValueError: \ud800 bad"),
        ("failed with a surrogate", r"\ud800 bad"),
        ("group", "ValueError: first"),
    ],
)
async def test_it_is_the_tasks_failure_and_the_worker_goes_on(
    fleet: Fleet, place: str, what: str, says: str, request: pytest.FixtureRequest
) -> None:
    gate = GATES[request.node.name] = asyncio.Event()
    fleet.handler(place, retry={"maxAttempts": 2, "backoffSeconds": 0})
    fleet.handler("wait_for_gate")
    await fleet.publish()
    async with fleet.worker():
        neighbour = await fleet.submit("wait-for-gate", gate=request.node.name)
        await fleet.event(neighbour, "step")
        record = await fleet.run(place.replace("_", "-"), what=what)
        gate.set()
        went_on = await fleet.ended(neighbour)
    assert (record.state, record.attempt, problem(record)["reason"]) == ("dead", 2, "HandlerFailed")
    assert problem(record)["detail"].startswith(says)
    assert (went_on.state, went_on.attempt) == ("succeeded", 1)


async def test_calls_of_a_task_group_park_their_task_like_any_other(fleet: Fleet) -> None:
    fleet.handler("ask_twice_at_once")
    fleet.tenant("acme", {"name": "small", "period": "Day", "amount": "0.000001"})
    await fleet.publish()
    async with fleet.worker():
        task = await fleet.submit("ask-twice-at-once", question="Hello")
        await fleet.event(task, "parked")
        parked = await fleet.record(task)
        assert (parked.state, parked.attempt, parked.failures) == (TaskState.PARKED, 1, 0)
        assert parked.reason.startswith("CallAboveLimit: ")
        fleet.tenant("acme", {"name": "small", "period": "Day", "amount": "1.00"})
        await fleet.publish()
        assert len(output(await fleet.ended(task))) == 2


CALLS_BACK = """
import asyncio, os, sys
from agentfleet_worker.main import Worker, run

class CallsBack(Worker):
    def __init__(self):
        pass

    async def run(self):
        done = asyncio.Event()
        for callback in (sys.exit, done.set):
            asyncio.get_running_loop().call_soon(callback)
        await done.wait()
        return 7

os._exit(run(CallsBack(), ()))
"""


def test_an_exit_in_a_bare_callback_ends_no_worker() -> None:
    """No task owns a callback, so there is none to fail: what it raised is logged."""
    ended = subprocess.run([sys.executable, "-c", CALLS_BACK], capture_output=True, text=True, check=False)
    assert ended.returncode == 7, ended.stderr
    assert "SystemExit" in ended.stderr
