"""Paid calls of a worker: through the real SDK, over real HTTP, metered below it."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.integration.worker.handlers import RUNS
from tests.integration.worker.rig import Fleet, output, problem, script, spent_and_held

from agentfleet_cli.simulator.server import Simulator
from agentfleet_core.queue.batching import GroupCommit
from agentfleet_core.queue.envelope import Event, JournalEntry, TaskRecord
from agentfleet_core.telemetry import metrics

Provider = tuple[Simulator, str]


async def test_a_handlers_call_is_routed_reserved_journaled_and_settled(fleet: Fleet) -> None:
    fleet.handler("ask")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("ask", question=script(text="It ships today.", tokens=20))
    answer = output(record)
    assert answer["text"].startswith("It ships today.")
    (step,) = (await fleet.steps(record.envelope.id)).values()
    assert (step.kind, step.name, step.tier, step.model) == ("llm", "answer", "fast", "claude-haiku-5-5")
    assert step.usage is not None
    # The test's prices: a dollar per million tokens in, five out.
    assert step.cost == 1_000 * step.usage["input_tokens"] + 5_000 * step.usage["output_tokens"]
    assert record.cost == step.cost == answer["cost"]
    assert await spent_and_held(fleet) == (step.cost, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_plain_client_gets_the_same_treatment(fleet: Fleet, stream: bool) -> None:
    fleet.handler("ask_plain_client")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("ask-plain-client", question=script(text="It ships."), stream=stream)
    answer = output(record)
    assert answer["text"].startswith("It ships.")
    assert answer.get("whole", answer["text"]) == answer["text"]
    (step,) = (await fleet.steps(record.envelope.id)).values()
    assert step.name == "client"
    assert step.usage is not None
    assert step.usage["output_tokens"] == answer["tokens"]
    assert await spent_and_held(fleet) == (record.cost, 0)
    assert record.cost > 0


async def test_what_a_stale_attempt_spent_is_counted_all_the_same(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = asyncio.Event()

    async def stale(self: GroupCommit, entry: JournalEntry, events: Sequence[Event] = ()) -> bool:
        refused.set()
        return False

    monkeypatch.setattr(GroupCommit, "journal", stale)
    fleet.handler("ask")
    await fleet.publish()
    before = counted_nano_usd()
    async with fleet.worker():
        await fleet.submit("ask", question=script(text="It ships today."))
        await refused.wait()
    spent, held = await spent_and_held(fleet)
    assert spent > 0
    assert held == 0
    assert counted_nano_usd() - before == spent


def counted_nano_usd() -> int:
    (metric,) = metrics.SPENT_USD.collect()
    return round(1_000_000_000 * sum(each.value for each in metric.samples if each.name.endswith("_total")))


async def agent(
    fleet: Fleet, prompt: str, tools: tuple[str, ...] = ("lookup_order",), **spec: Any
) -> TaskRecord:
    agent: dict[str, Any] = {
        "system": "You decide on refunds.",
        "prompt": "{{ input.message }}",
        "maxOutputTokens": 300,
    }
    agent["tools"] = [f"tests.integration.worker.handlers:{name}" for name in tools]
    fleet.type("refund", agent={**agent, **spec.pop("agent", {})}, **spec)
    await fleet.publish()
    async with fleet.worker():
        return await fleet.run("refund", message=prompt)


async def test_an_agent_uses_its_tools_and_answers(fleet: Fleet) -> None:
    turns = [
        {
            "thinking": 20,
            "tools": [{"tool": "lookup_order", "input": {"order": order}} for order in ("A-1", "A-2")],
        },
        {"text": "Both have shipped."},
    ]
    record = await agent(fleet, script(turns=turns), agent={"thinking": {"mode": "Adaptive"}})
    assert output(record)["text"].startswith("Both have shipped.")
    steps = await fleet.steps(record.envelope.id)
    assert sorted(steps) == ["tool-1-1", "tool-1-2", "turn-1", "turn-2"]
    assert json.loads(steps["tool-1-2"].result["content"]) == {
        "order": "A-2", "status": "shipped", "key": f"{record.envelope.id}/tool-1-2",
    }  # fmt: skip
    assert RUNS[f"{record.envelope.id} lookup_order A-1"] == 1
    assert record.cost == sum(step.cost for step in steps.values())
    assert await spent_and_held(fleet) == (record.cost, 0)


async def test_an_agents_system_prompt_takes_the_tasks_input_too(fleet: Fleet) -> None:
    told = script(text="It has shipped.")
    record = await agent(fleet, told, (), agent={"system": "{{ input.message }}", "prompt": "Where is it?"})
    assert output(record)["text"].startswith("It has shipped.")


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("broken", {"order": "A-1"}, "broken failed: KeyError: 'A-1'"),
        (
            "broken",
            {"ordre": "A-1"},
            "tool broken: order: Field required; ordre: Extra inputs are not permitted",
        ),
        (
            "megabytes",
            {"size": 3_000_000},
            "megabytes returned 2.9 MiB, the limit is 100.0 KiB; ask for less",
        ),
    ],
)
async def test_the_model_is_told_what_went_wrong_with_a_tool(
    fleet: Fleet, tool: str, arguments: dict[str, Any], says: str
) -> None:
    turns = [{"tool": tool, "input": arguments}, {"text": "I could not look."}]
    record = await agent(fleet, script(turns=turns), tools=(tool,))
    assert output(record)["text"].startswith("I could not look.")
    step = (await fleet.steps(record.envelope.id))["tool-1-1"]
    assert step.result == {"content": says, "is_error": True}
    # Whoever waits for the task is told as well.
    assert step.failure == says.removeprefix(f"{tool} failed: ")


SCHEMA = {"type": "object", "required": ["refund"], "properties": {"refund": {"type": "boolean"}}}


async def test_an_answer_off_schema_is_asked_for_once_more(fleet: Fleet) -> None:
    turns = [{"text": "Sure!"}, {"text": {"refund": True}}]
    record = await agent(fleet, script(turns=turns), tools=(), outputSchema=SCHEMA)
    assert output(record) == {"refund": True}
    assert sorted(await fleet.steps(record.envelope.id)) == ["turn-1", "turn-2"]


async def test_an_answer_that_stays_off_schema_fails(fleet: Fleet) -> None:
    record = await agent(fleet, script(turns=[{"text": {"refund": "maybe"}}]), tools=(), outputSchema=SCHEMA)
    assert record.state == "failed"
    assert problem(record)["reason"] == "OutputRefused"
    assert '"maybe" is not of type "boolean"' in problem(record)["detail"]


@pytest.mark.parametrize(
    ("turn", "state", "says"),
    [
        ({"stop": "max_tokens", "text": "It ships"}, "succeeded", "The answer was cut by maxOutputTokens."),
        ({"stop": "refusal", "text": "No."}, "failed", "the model refused to answer"),
        (
            {"stop": "model_context_window_exceeded", "text": ""},
            "failed",
            "cut by the model's context window",
        ),
        ({"stop": "stop_sequence", "text": "It ships"}, "succeeded", ""),
        ({"stop": "out_of_patience", "text": "It"}, "succeeded", 'the stop reason "out_of_patience"'),
    ],
)
async def test_each_way_to_stop_means_something(
    fleet: Fleet, turn: dict[str, Any], state: str, says: str
) -> None:
    record = await agent(fleet, script(turns=[turn]), tools=())
    assert record.state == state
    told = record.limitations[0] if record.limitations else problem(record)["detail"] if record.error else ""
    assert says in told


async def test_a_paused_turn_goes_on(fleet: Fleet) -> None:
    turns = [{"stop": "pause_turn", "text": "Let me think"}, {"text": "Done."}]
    record = await agent(fleet, script(turns=turns), tools=())
    assert output(record)["text"].startswith("Done.")


async def test_an_agent_that_never_answers_uses_up_its_turns(fleet: Fleet) -> None:
    turns = [{"tool": "lookup_order", "input": {"order": "A-1"}}]
    record = await agent(fleet, script(turns=turns), agent={"maxTurns": 3})
    assert (record.state, problem(record)["reason"]) == ("failed", "TooManyTurns")
    assert sorted(await fleet.steps(record.envelope.id)) == [
        "tool-1-1", "tool-2-1", "tool-3-1", "turn-1", "turn-2", "turn-3",
    ]  # fmt: skip


async def test_faults_of_the_provider_are_tried_again_inside_the_step(
    fleet: Fleet, provider: Provider
) -> None:
    fleet.handler("ask")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run(
            "ask", question=script(text="Now.", fail=["529", "500", "cut", "event"], retry_after=0)
        )
    assert output(record)["text"].startswith("Now.")
    assert record.attempt == 1
    steps = await fleet.steps(record.envelope.id)
    assert sorted(step.kind for step in steps.values()) == ["cut", "cut", "llm"]
    spent, held = await spent_and_held(fleet)
    assert (spent, held) == (record.cost, 0)


@pytest.mark.parametrize(
    ("fault", "says"),
    [("400", "invalid_request_error"), ("401", "authentication_error"), ("403", "permission_error")],
)
async def test_what_cannot_succeed_fails_at_once(fleet: Fleet, fault: str, says: str) -> None:
    fleet.handler("ask")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("ask", question=script(text="Now.", fail=[fault]))
    assert (record.state, record.attempt) == ("failed", 1)
    assert problem(record)["reason"] == "ProviderRefused"
    assert says in problem(record)["detail"]
    assert await spent_and_held(fleet) == (0, 0)


async def test_a_call_that_hangs_is_cut_charged_and_tried_again(fleet: Fleet) -> None:
    fleet.handler("ask", timeouts={"llmCallSeconds": 1})
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("ask", question=script(text="Now.", fail=["hang"]))
    assert output(record)["text"].startswith("Now.")
    steps = await fleet.steps(record.envelope.id)
    assert [(key, step.kind) for key, step in sorted(steps.items())] == [
        ("answer", "llm"),
        ("answer!1.1", "cut"),
    ]
    assert await spent_and_held(fleet) == (record.cost, 0)
    assert record.cost == sum(step.cost for step in steps.values())


async def test_a_caller_that_leaves_a_stream_early_has_paid_its_worst_case(
    fleet: Fleet, provider: Provider
) -> None:
    provider[0].behaviour = provider[0].behaviour.changed({"speed": 1.0})
    fleet.handler("leave_early")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run(
            "leave-early", question=script(text="A long story.", tokens=150, seconds=0.5)
        )
    assert output(record) == "left"
    (step,) = (await fleet.steps(record.envelope.id)).values()
    assert step.kind == "cut"
    assert await spent_and_held(fleet) == (step.cost, 0)


async def test_a_call_that_no_price_covers_is_not_made(fleet: Fleet, provider: Provider) -> None:
    fleet.handler("ask")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("ask", question="Hello", extra_body={"context_management": {"edits": []}})
    assert (record.state, problem(record)["reason"]) == ("failed", "CostUnknown")
    assert provider[0].bill.total.calls == 0


async def test_followers_see_text_and_steps_as_they_come(fleet: Fleet, provider: Provider) -> None:
    provider[0].behaviour = provider[0].behaviour.changed({"speed": 1.0})
    fleet.handler("ask")
    await fleet.publish()
    async with fleet.worker():
        task = await fleet.submit("ask", question=script(text="It ships today.", tokens=40, seconds=0.5))
        events = [event async for event in fleet.queue.follow(task)]
    record = await fleet.record(task)
    text = "".join(json.loads(event.data)["text"] for event in events if event.type == "delta")
    assert text == output(record)["text"]
    kinds = [event.type for event in events]
    assert kinds[-2:] == ["step", "ended"]
    assert kinds.count("delta") > 1
    assert json.loads(events[-2].data) == {
        "step": "answer", "kind": "llm", "name": "answer", "cost_nano_usd": record.cost,
    }  # fmt: skip


async def test_a_task_waits_for_a_provider_key_that_is_not_mounted_yet(fleet: Fleet) -> None:
    file = fleet.secrets / "provider" / "api-key"
    key = file.read_text()
    file.unlink()
    fleet.handler("ask", retry={"maxAttempts": 1})
    await fleet.publish()
    async with fleet.worker():
        task = await fleet.submit("ask", question=script(text="It ships today."))
        assert (await fleet.event(task, "parked", "ended")).type == "parked"
        waits = await fleet.record(task)
        assert (waits.state, waits.failures) == ("parked", 0)
        assert waits.reason.startswith("KeyMissing: provider key provider/api-key cannot be read")
        file.write_text(key)
        await fleet.queue.unblock("acme")
        record = await fleet.ended(task)
    assert output(record)["text"].startswith("It ships today.")


async def test_a_journaled_call_is_replayed_to_a_client_that_streams(
    fleet: Fleet, provider: Provider
) -> None:
    fleet.handler("stream_then_fail_once")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("stream-then-fail-once", question=script(text="It ships today.", tokens=40))
    assert output(record)["same"] is True
    assert record.attempt == 2
    assert provider[0].bill.total.calls == 1


async def test_what_a_failing_handler_left_under_way_is_journaled(fleet: Fleet, provider: Provider) -> None:
    provider[0].behaviour = provider[0].behaviour.changed({"speed": 1.0})
    fleet.handler("fail_beside_a_call")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("fail-beside-a-call", question=script(text="It ships.", seconds=0.3))
    assert output(record).startswith("It ships.")
    assert (record.attempt, provider[0].bill.total.calls) == (2, 1)
    assert await spent_and_held(fleet) == (record.cost, 0)
