"""A worker runs Python handlers: journaled steps, retries from the journal, clear failures."""

import importlib
import json
import re
from pathlib import Path

import pytest
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


async def test_a_handler_that_keeps_failing_ends_dead_with_its_errors_and_each_is_logged_once(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.handler("fail_first")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("fail-first", times=9)
    assert (record.state, record.failures, len(record.errors)) == ("dead", 3, 3)
    says = r"RuntimeError: the shop is closed \(worker/handlers\.py:\d+ in fail_first\)"
    assert re.fullmatch(says, problem(record)["detail"])
    assert RUNS[f"{record.envelope.id} once"] == 1
    failed = [logged for logged in caplog.records if logged.getMessage().startswith("a handler failed\n")]
    assert [logged.attempt for logged in failed if logged.task == record.envelope.id] == [1, 2, 3]
    assert all("Traceback" in logged.getMessage() for logged in failed)
    assert all(logged.getMessage().endswith("the shop is closed\n") for logged in failed)


@pytest.mark.parametrize(
    ("handler", "reason", "says"),
    [
        ("return_an_object", "OutputRefused", "object cannot be written as JSON"),
        ("return_megabytes", "OutputRefused", "the result has 1.9 MiB, a task may return 1.0 MiB"),
        ("step_returns_megabytes", "OutputRefused", "step download returned 1.9 MiB, the limit is 1.0 MiB"),
    ],
)
async def test_a_result_that_cannot_be_kept_fails_clearly(
    fleet: Fleet, handler: str, reason: str, says: str
) -> None:
    fleet.handler(handler)
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run(handler.replace("_", "-"))
    assert (record.state, record.attempt, problem(record)["reason"]) == ("failed", 1, reason)
    assert says in problem(record)["detail"]


async def test_an_input_that_a_handler_does_not_take_fails_clearly(fleet: Fleet) -> None:
    fleet.handler("greet")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("greet", nmae="Ada")
    assert (record.state, problem(record)["reason"]) == ("failed", "InputRefused")
    assert "does not take this input: missing a required argument: 'name'" in problem(record)["detail"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("no.such.module:fn", "module no.such.module cannot be imported: ModuleNotFoundError"),
        ("tests.integration.worker.handlers:nothing", "has no nothing"),
        ("tests.integration.worker.handlers:RUNS", "RUNS is a Counter, not a function"),
    ],
)
async def test_a_handler_that_is_not_there_ends_dead(fleet: Fleet, path: str, says: str) -> None:
    fleet.type("lost", handler=path)
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("lost")
    assert (record.state, problem(record)["reason"]) == ("dead", "HandlerMissing")
    assert problem(record)["title"] == "Handler missing"
    assert says in problem(record)["detail"]


async def test_a_task_out_of_time_ends_partial_with_its_steps(fleet: Fleet) -> None:
    fleet.handler("sleep_after_a_step", timeouts={"taskSeconds": 1})
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("sleep-after-a-step", seconds=60)
    assert (record.state, record.reason) == ("partial", "TaskTimeout")
    assert json.loads(record.output) == {"steps": {"first": {"found": 3}}}
    assert record.limitations == ("The task did not end within taskSeconds (1 s); done are first.",)


async def test_a_task_out_of_time_with_nothing_done_fails(fleet: Fleet) -> None:
    fleet.handler("sleep_only", timeouts={"taskSeconds": 1})
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("sleep-only", seconds=60)
    assert (record.state, problem(record)["reason"]) == ("failed", "TaskTimeout")


async def test_a_step_out_of_time_is_a_failed_attempt(fleet: Fleet) -> None:
    fleet.handler("sleep_in_a_step", timeouts={"stepSeconds": 1}, retry={"maxAttempts": 1})
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("sleep-in-a-step", seconds=60)
    assert (record.state, problem(record)["reason"]) == ("dead", "StepTimeout")
    assert problem(record)["detail"] == "step slow did not end within stepSeconds (1 s)"


async def test_a_handler_that_swallows_its_time_out_is_not_believed(fleet: Fleet) -> None:
    fleet.handler("swallow_everything", timeouts={"taskSeconds": 1})
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("swallow-everything")
    assert (record.state, record.output) == ("failed", b"")


async def test_a_plain_function_runs_in_a_thread(fleet: Fleet) -> None:
    fleet.handler("plain_function")
    await fleet.publish()
    async with fleet.worker():
        assert output(await fleet.run("plain-function", seconds=0.01)) == "slept in a thread"


async def test_a_workflow_runs_its_steps_once_each(fleet: Fleet) -> None:
    path = "tests.integration.worker.handlers:flow_"
    steps = [
        {"name": "first", "handler": path + "first"},
        {"name": "flow-left", "handler": path + "left", "dependsOn": ["first"]},
        {"name": "flow-right", "handler": path + "right", "dependsOn": ["first"]},
        {"name": "join", "handler": path + "join", "dependsOn": ["flow-left", "flow-right"]},
    ]
    fleet.type("flow", workflow={"steps": steps})
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("flow", order="A-1")
    assert output(record) == {"left": "left of first A-1", "right": "right of first A-1 for A-1"}
    journal = await fleet.steps(record.envelope.id)
    assert sorted(journal) == ["first", "flow-left", "flow-left/inner", "flow-right", "join"]
    assert RUNS[f"{record.envelope.id} first"] == 1


async def test_many_tasks_share_a_worker(fleet: Fleet) -> None:
    fleet.handler("greet")
    await fleet.publish()
    tasks = [await fleet.submit("greet", name=str(number)) for number in range(50)]
    async with fleet.worker():
        records = [await fleet.ended(task) for task in tasks]
    assert [output(record)["greeting"] for record in records] == [f"Hello, {number}" for number in range(50)]
    assert await fleet.queue.audit()


async def test_what_the_image_lacks_is_told_to_the_pool_until_it_loads(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    fleet.type("late", handler="shipped_late:answer")
    await fleet.publish()
    async with fleet.worker():
        await fleet.run("late")
        [told] = (await fleet.queue.counters()).missing_code
        assert (told.revision, told.path) == ("r1", "shipped_late:answer")
        assert "module shipped_late cannot be imported: ModuleNotFoundError" in told.why

        (tmp_path / "shipped_late.py").write_text("async def answer(ctx):\n    return 1\n")
        importlib.invalidate_caches()
        assert output(await fleet.run("late")) == 1
    assert (await fleet.queue.counters()).missing_code == ()


async def test_a_tool_that_cannot_be_one_is_told_too(fleet: Fleet) -> None:
    path = "tests.integration.worker.handlers:RUNS"
    fleet.type("tooled", agent={"prompt": "Help.", "tools": [path]})
    await fleet.publish()
    async with fleet.worker():
        await fleet.run("tooled")
    assert [one.path for one in (await fleet.queue.counters()).missing_code] == [path]
