"""What a worker does when a call cannot be made as it was routed, against the simulator over real HTTP."""

from datetime import UTC, datetime

from tests.integration.worker.rig import Fleet, output, script, spent_and_held

from agentfleet_cli.simulator.server import Simulator
from agentfleet_core.budget.limits import Reserved
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.queue.envelope import Block

Provider = tuple[Simulator, str]
LONG = "All that was said before. " * 160
"""Some 4,000 bytes, of which the provider makes a quarter as many tokens."""


async def test_a_request_that_fits_its_limit_only_by_the_providers_count_goes_through(
    fleet: Fleet, provider: Provider
) -> None:
    # Its bytes at the dearest price of a token, $2 a million, are more than $0.008; counted, about $0.002.
    fleet.tenant("acme", {"name": "all", "period": "Total", "amount": "0.005"})
    fleet.handler("ask")
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.run("ask", question=LONG + script(text="It ships."))
    assert output(record)["text"].startswith("It ships.")
    assert (record.attempt, provider[0].bill.total.calls) == (1, 1)
    assert await spent_and_held(fleet) == (record.cost, 0)


async def test_a_request_that_fits_not_even_so_parks_with_what_it_may_cost(
    fleet: Fleet, provider: Provider
) -> None:
    fleet.tenant("acme", {"name": "all", "period": "Total", "amount": "0.001"})
    fleet.handler("ask")
    await fleet.publish()
    async with fleet.worker():
        task = await fleet.submit("ask", question=LONG)
        await fleet.event(task, "parked")
    record = await fleet.record(task)
    assert record.reason.startswith("CallAboveLimit: one call may cost $0.00")
    assert provider[0].bill.total.calls == 0
    assert await spent_and_held(fleet) == (0, 0)


async def test_a_block_names_the_limit_and_ends_with_a_larger_one_that_no_worker_saw_come(
    fleet: Fleet,
) -> None:
    limit = {"name": "all", "period": "Total", "amount": "1.00"}
    fleet.tenant("acme", limit)
    fleet.handler("ask")
    await fleet.publish()
    [window] = all_windows(fleet.config().tenants["acme"].spec, datetime.now(UTC))
    spent = await fleet.ledger.reserve("acme", "other/1/1", 999_999_000, [window], lease_ms=60_000)
    assert isinstance(spent, Reserved)
    await fleet.ledger.settle(spent.hold, 999_999_000)
    async with fleet.worker():
        task = await fleet.submit("ask", question=script(text="It ships."))
        await fleet.event(task, "parked")
    assert await fleet.queue.block_of("acme") == Block("all", 0)

    fleet.tenant("acme", limit | {"amount": "2.00"})
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.ended(task)
    assert output(record)["text"].startswith("It ships.")
    assert await fleet.queue.block_of("acme") is None


async def test_a_model_is_not_shown_what_the_one_that_stood_in_for_it_thought(
    fleet: Fleet, provider: Provider
) -> None:
    """The provider refuses thinking that another model has signed."""
    fleet.models["fast"].append("claude-sonnet-5-5")
    agent = {
        "prompt": "{{ input.message }}",
        "maxOutputTokens": 300,
        "thinking": {"mode": "Adaptive"},
        "tools": ["tests.integration.worker.handlers:lookup_order"],
    }
    fleet.type("refund", agent=agent)
    await fleet.publish()
    turns = [
        {"thinking": 20, "tools": [{"tool": "lookup_order", "input": {"order": "A-1"}}]},
        {"text": "It has shipped."},
    ]
    async with fleet.worker():
        record = await fleet.run(
            "refund", message=script(turns=turns, fail=["500", "500", "500"], retry_after=0)
        )
    assert output(record)["text"].startswith("It has shipped.")
    steps = await fleet.steps(record.envelope.id)
    assert steps["turn-1"].model == "claude-sonnet-5-5"
    assert "thinking" in {block["type"] for block in steps["turn-1"].result["content"]}


async def test_a_fallback_model_answers_for_one_that_keeps_failing_and_the_result_says_so(
    fleet: Fleet,
) -> None:
    fleet.models["fast"].append("claude-sonnet-5-5")
    fleet.type("greet", agent={"prompt": "{{ input.message }}", "maxOutputTokens": 300})
    await fleet.publish()
    faults = ["500", "529", "cut"]
    async with fleet.worker():
        record = await fleet.run("greet", message=script(text="Hello.", fail=faults, retry_after=0))
    assert output(record)["text"].startswith("Hello.")
    assert record.limitations == (
        "Step turn-1 was answered by claude-sonnet-5-5, since claude-haiku-5-5 was not to be had.",
    )
    steps = await fleet.steps(record.envelope.id)
    assert {key: step.model for key, step in steps.items() if step.kind == "llm"} == {
        "turn-1": "claude-sonnet-5-5"
    }
    assert await spent_and_held(fleet) == (record.cost, 0)
