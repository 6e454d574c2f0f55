"""What reaches the provider: headers, keys and cache breakpoints as they leave, and the tier that serves."""

import json
from typing import Any

import pytest
from tests.integration.worker.rig import Fleet, output, script

from agentfleet_cli.simulator.server import Simulator
from agentfleet_cli.simulator.wire import Exchange, Request
from agentfleet_worker.calls import routes

Provider = tuple[Simulator, str]
BREAKPOINT = {"type": "ephemeral"}


@pytest.fixture
def sent(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Every request that the provider got, in order."""
    requests: list[Request] = []
    handle = provider[0].handle

    def recording(request: Request, exchange: Exchange) -> None:
        requests.append(request)
        handle(request, exchange)

    monkeypatch.setattr(provider[0], "handle", recording)
    return requests


async def test_each_turn_of_an_agent_reads_the_one_before_from_the_cache(
    fleet: Fleet, provider: Provider, sent: list[Request]
) -> None:
    provider[0].behaviour = provider[0].behaviour.changed({"min_cache_tokens": 1})
    agent = {
        "system": "You decide on refunds.",
        "prompt": "{{ input.message }}",
        "tools": ["tests.integration.worker.handlers:lookup_order"],
    }
    fleet.type("refund", agent=agent)
    await fleet.publish()
    turns = [{"tool": "lookup_order", "input": {"order": "A-1"}}, {"text": "It has shipped."}]
    async with fleet.worker():
        record = await fleet.run("refund", message=script(turns=turns))

    output(record)
    first, second = (json.loads(request.body) for request in sent)
    for body in (first, second):
        assert body["system"][-1]["cache_control"] == BREAKPOINT
        *before, last = map(_breakpoints, body["messages"])
        assert (sum(before), last) == (0, 1)
        assert body["messages"][-1]["content"][-1]["cache_control"] == BREAKPOINT
    steps = await fleet.steps(record.envelope.id)
    written, read = (steps[name].usage or {} for name in ("turn-1", "turn-2"))
    assert read["cache_read_input_tokens"] == written["cache_creation_input_tokens"] > 0


def _breakpoints(message: dict[str, Any]) -> int:
    content = message["content"]
    return 0 if isinstance(content, str) else sum("cache_control" in block for block in content)


async def test_a_provider_key_that_changes_is_used_without_a_restart(
    fleet: Fleet, provider: Provider, sent: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "KEY_CHECK_SECONDS", 0.0)
    fleet.handler("ask")
    await fleet.publish()
    async with fleet.worker():
        output(await fleet.run("ask", question=script(text="With the old key.")))
        (fleet.secrets / "provider" / "api-key").write_text("rotated-key\n")
        provider[0].behaviour = provider[0].behaviour.changed({"keys": ("rotated-key",)})
        output(await fleet.run("ask", question=script(text="With the new one.")))

    assert [request.headers["x-api-key"] for request in sent] == ["key-of-the-fleet", "rotated-key"]


@pytest.mark.parametrize("handler", ["ask", "ask_plain_client"])
async def test_no_answer_may_be_compressed(fleet: Fleet, sent: list[Request], handler: str) -> None:
    fleet.handler(handler)
    await fleet.publish()
    async with fleet.worker():
        output(await fleet.run(handler.replace("_", "-"), question=script(text="It ships.")))

    assert [request.headers["accept-encoding"] for request in sent] == ["identity"]


@pytest.mark.parametrize(
    ("bounds", "tier", "model", "reason"),
    [
        ({"default": "fast", "highest": "fast"}, "fast", "claude-haiku-5-5", "TierAboveHighest"),
        ({"default": "capable", "lowest": "capable"}, "capable", "claude-sonnet-5-5", "TierBelowLowest"),
        ({"default": "fast"}, "fast", "claude-haiku-5-5", "TierMissing"),
    ],
)
async def test_bounds_that_changed_since_the_admission_hold_and_the_task_says_so(
    fleet: Fleet, sent: list[Request], bounds: dict[str, str], tier: str, model: str, reason: str
) -> None:
    fleet.handler("ask")
    asked = {"TierAboveHighest": "capable", "TierBelowLowest": "fast", "TierMissing": "retired"}[reason]
    task = await fleet.submit("ask", tier=asked, question=script(text="It ships."))
    fleet.handler("ask", tier=bounds)
    await fleet.publish()
    async with fleet.worker():
        record = await fleet.ended(task)

    assert output(record)["tier"] == tier
    assert [json.loads(request.body)["model"] for request in sent] == [model]
    (step,) = (await fleet.steps(task)).values()
    assert (step.tier, step.rerouted) == (tier, reason)
    assert record.limitations == (
        f"Step answer was answered by tier {tier}, not by the one asked for: {reason}.",
    )
