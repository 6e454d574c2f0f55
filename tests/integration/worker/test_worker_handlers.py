"""A worker runs Python handlers: journaled steps, retries from the journal, clear failures."""

import json

from tests.integration.worker.handlers import RUNS
from tests.integration.worker.rig import Fleet, output, problem


async def test_a_handler_runs_its_steps_and_returns(fleet: Fleet) -> None:
    fleet.handler("greet")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("greet", name="Ada")
    assert output(record) == {"greeting": "Hello, Ada"}
    steps = await fleet.steps(record.envelope.id)
    assert {key: (step.kind, step.result) for key, step in steps.items()} == {
        "look-up": ("step", "Hello, Ada")
    }


async def test_a_retry_replays_the_journal(fleet: Fleet) -> None:
    fleet.handler("fail_first")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("fail-first", times=2)
    assert output(record) == {"once": "done", "ran": 1}
    assert record.attempt == 3
    assert [json.loads(error)["reason"] for error in record.errors] == ["HandlerFailed", "HandlerFailed"]


async def test_a_handler_that_keeps_failing_ends_dead_with_its_errors(fleet: Fleet) -> None:
    fleet.handler("fail_first")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("fail-first", times=9)
    assert (record.state, record.failures, len(record.errors)) == ("dead", 3, 3)
    assert problem(record)["detail"].startswith("RuntimeError: the shop is closed (in fail_first, line ")
    assert RUNS[f"{record.envelope.id} once"] == 1
