"""The simulator through the real SDK: what it answers, what it refuses, and what it bills."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import AsyncAnthropic

from agentfleet_cli.simulator.behaviour import Behaviour
from agentfleet_cli.simulator.server import Simulator, serve

FAST = Behaviour(seed=7, speed=1_000.0)
HAIKU = "claude-haiku-5-5"
ORDER_TOOL: Any = {
    "name": "lookup_order",
    "description": "Find an order by its number.",
    "input_schema": {"type": "object", "required": ["order"], "properties": {"order": {"type": "string"}}},
}


class Rig:
    """A running simulator, SDK clients of it, and its control routes."""

    def __init__(self, simulator: Simulator, url: str) -> None:
        self.simulator = simulator
        self.url = url

    def client(self, key: str = "key-a") -> AsyncAnthropic:
        return AsyncAnthropic(api_key=key, base_url=self.url, max_retries=0)

    async def control(self, method: str, path: str, **body: Any) -> Any:
        async with httpx.AsyncClient(base_url=self.url) as client:
            response = await client.request(method, path, json=body or None)
            return response.json()

    def turn_to(self, **knobs: Any) -> None:
        self.simulator.behaviour = self.simulator.behaviour.changed(knobs)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    simulator = Simulator(FAST)
    server, connections = await serve(simulator, "127.0.0.1", 0)
    yield Rig(simulator, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()
    for connection in tuple(connections):
        connection.abort()
    await server.wait_closed()


def script(**fields: Any) -> str:
    return f"Please help. sim:{json.dumps(fields)}"


async def say(client: AsyncAnthropic, prompt: str, **options: Any) -> anthropic.types.Message:
    messages = options.pop("messages", [{"role": "user", "content": prompt}])
    model = options.pop("model", HAIKU)
    return await client.messages.create(
        model=model, max_tokens=options.pop("max_tokens", 1_024), messages=messages, **options
    )


def text(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def tool_use(message: anthropic.types.Message) -> anthropic.types.ToolUseBlock:
    return next(block for block in message.content if block.type == "tool_use")


async def test_a_message_is_answered_and_billed_by_its_usage(rig: Rig) -> None:
    async with rig.client() as client:
        message = await say(client, "Where is order A-1001?")
    assert message.stop_reason == "end_turn"
    assert message.content[0].type == "text"
    bill = await rig.control("GET", "/sim/bill")
    assert bill["calls"] == 1
    assert bill["nano_usd"] == message.usage.input_tokens * 100 + message.usage.output_tokens * 500
    assert bill["by_key"]["key-a"]["nano_usd"] == bill["nano_usd"]


async def test_the_same_seed_answers_the_same_and_another_differs(rig: Rig) -> None:
    async with rig.client() as client:
        first = await say(client, "Where is order A-1001?")
        await rig.control("POST", "/sim/reset")
        again = await say(client, "Where is order A-1001?")
        rig.turn_to(seed=8)
        await rig.control("POST", "/sim/reset")
        other = await say(client, "Where is order A-1001?")
    assert again.content == first.content
    assert other.content != first.content


async def test_a_stream_brings_every_event_type_and_adds_up_to_the_message(rig: Rig) -> None:
    seen: list[str] = []
    async with (
        rig.client() as client,
        client.messages.stream(
            model="claude-opus-5-5",
            max_tokens=2_000,
            thinking={"type": "adaptive", "display": "summarized"},
            tools=[ORDER_TOOL],
            messages=[
                {
                    "role": "user",
                    "content": script(
                        text="Let me see.", tool="lookup_order", input={"order": "A-1"}, thinking=40
                    ),
                }
            ],
        ) as stream,
    ):
        seen.extend([event.type async for event in stream])
        message = await stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert tool_use(message).input == {"order": "A-1"}
    assert message.stop_reason == "tool_use"
    assert message.usage.output_tokens_details is not None
    assert message.usage.output_tokens_details.thinking_tokens == 40
    assert {"message_start", "content_block_start", "content_block_delta", "content_block_stop"} <= set(seen)
    assert seen[-2:] == ["message_delta", "message_stop"]
    bill = await rig.control("GET", "/sim/bill")
    assert bill["output_tokens"] == message.usage.output_tokens


async def test_a_tool_is_called_and_its_result_read(rig: Rig) -> None:
    prompt = script(
        turns=[{"tool": "lookup_order", "input": {"order": "A-1001"}}, {"text": "It ships today."}]
    )
    async with rig.client() as client:
        first = await say(client, prompt, tools=[ORDER_TOOL])
        use = tool_use(first)
        messages: list[Any] = [
            {"role": "user", "content": prompt},
            first.to_param(),
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "{}"}]},
        ]
        second = await say(client, prompt, tools=[ORDER_TOOL], messages=messages)
        assert text(second) == "It ships today."
        with pytest.raises(anthropic.BadRequestError, match="without `tool_result`"):
            await say(
                client,
                prompt,
                messages=[*messages[:2], {"role": "user", "content": "and?"}],
                tools=[ORDER_TOOL],
            )


async def test_a_thinking_block_goes_back_only_to_its_model_and_conversation(rig: Rig) -> None:
    prompt = script(turns=[{"tool": "lookup_order", "thinking": 30}, {"text": "Done."}])
    options: Any = {"tools": [ORDER_TOOL], "thinking": {"type": "adaptive"}}
    async with rig.client() as client:
        first = await say(client, prompt, model="claude-sonnet-5-5", **options)
        assert [block.type for block in first.content] == ["thinking", "tool_use"]
        result = {"type": "tool_result", "tool_use_id": tool_use(first).id, "content": "{}"}
        turn: list[Any] = [first.to_param(), {"role": "user", "content": [result]}]
        messages: list[Any] = [{"role": "user", "content": prompt}, *turn]
        await say(client, prompt, model="claude-sonnet-5-5", messages=messages, **options)
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            await say(client, prompt, model=HAIKU, messages=messages, **options)
        elsewhere: list[Any] = [{"role": "user", "content": f"Another question. {prompt}"}, *turn]
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            await say(client, prompt, model="claude-sonnet-5-5", messages=elsewhere, **options)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"model": "claude-nobody-9"}, anthropic.NotFoundError, "model: claude-nobody-9"),
        ({"messages": []}, anthropic.BadRequestError, "at least one message"),
        ({"max_tokens": 0}, anthropic.BadRequestError, "max_tokens"),
        ({"max_tokens": 200_000, "timeout": 60}, anthropic.BadRequestError, "128000"),
        ({"extra_body": {"temperature": 0.5}}, anthropic.BadRequestError, "temperature"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, anthropic.BadRequestError, "first message"),
        ({"tool_choice": {"type": "tool", "name": "none"}}, anthropic.BadRequestError, "not found"),
        ({"messages": [{"role": "user", "content": ""}]}, anthropic.BadRequestError, "non-empty"),
    ],
)
async def test_a_bad_request_is_refused_as_the_api_does(
    rig: Rig, options: dict[str, Any], error: type[anthropic.APIStatusError], words: str
) -> None:
    async with rig.client() as client:
        with pytest.raises(error, match=words):
            await say(client, "Hello", **options)
    assert (await rig.control("GET", "/sim/bill"))["nano_usd"] == 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("400", anthropic.BadRequestError),
        ("401", anthropic.AuthenticationError),
        ("403", anthropic.PermissionDeniedError),
        ("404", anthropic.NotFoundError),
        ("413", anthropic.APIStatusError),
        ("429", anthropic.RateLimitError),
        ("500", anthropic.InternalServerError),
        ("504", anthropic.APIStatusError),
        ("529", anthropic.APIStatusError),
    ],
)
async def test_a_scripted_fault_strikes_once_then_the_answer_comes(
    rig: Rig, fault: str, error: type[anthropic.APIStatusError]
) -> None:
    prompt = script(text="Fine.", fail=[fault], retry_after=2.5)
    async with rig.client() as client:
        with pytest.raises(error) as caught:
            await say(client, prompt)
        assert caught.value.status_code == int(fault)
        assert caught.value.request_id is not None
        if fault in ("429", "529"):
            assert caught.value.response.headers["retry-after"] == "2.5"
        assert text(await say(client, prompt)) == "Fine."


async def test_a_stream_that_breaks_is_billed_for_what_was_produced(rig: Rig) -> None:
    for fault, error in (("cut", Exception), ("event", anthropic.APIStatusError)):
        prompt = script(tokens=400, fail=[fault], mark=fault)
        async with rig.client() as client:
            with pytest.raises(error):
                async with client.messages.stream(
                    model=HAIKU, max_tokens=1_000, messages=[{"role": "user", "content": prompt}]
                ) as stream:
                    await stream.get_final_message()
        calls = (await rig.control("GET", f"/sim/calls?mark={fault}"))["calls"]
        assert [call["outcome"] for call in calls] == ["cut"]
        assert 0 < calls[0]["output_tokens"] < 400


async def test_a_client_that_leaves_is_billed_for_what_had_left(rig: Rig) -> None:
    rig.turn_to(speed=1.0)
    prompt = script(tokens=400, seconds=30, first_token_seconds=0.01, mark="left")
    async with (
        rig.client() as client,
        client.messages.stream(
            model=HAIKU, max_tokens=1_000, messages=[{"role": "user", "content": prompt}]
        ) as stream,
    ):
        async for _ in stream.text_stream:
            break
    call: dict[str, Any] = {"outcome": "open"}
    while call["outcome"] == "open":
        call = (await rig.control("GET", "/sim/calls?mark=left"))["calls"][0]
    assert call["outcome"] == "cut"
    assert 0 < call["output_tokens"] < 400
    assert call["nano_usd"] == call["input_tokens"] * 100 + call["output_tokens"] * 500


async def test_a_cached_prefix_is_written_then_read(rig: Rig) -> None:
    system: Any = [
        {"type": "text", "text": "Policy. " * 1_000, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]
    async with rig.client() as client:
        wrote = (await say(client, "one", system=system)).usage
        read = (await say(client, "two", system=system)).usage
    assert wrote.cache_creation is not None
    assert wrote.cache_creation.ephemeral_1h_input_tokens == wrote.cache_creation_input_tokens
    assert wrote.cache_creation_input_tokens == read.cache_read_input_tokens
    assert read.cache_creation_input_tokens == 0
    assert wrote.cache_creation_input_tokens is not None
    bill = await rig.control("GET", "/sim/bill")
    tokens_out = (wrote.output_tokens + read.output_tokens) * 500
    tokens_in = (wrote.input_tokens + read.input_tokens) * 100
    assert bill["nano_usd"] == tokens_in + tokens_out + wrote.cache_creation_input_tokens * (200 + 10)


async def test_a_long_prompt_is_priced_by_its_band(rig: Rig) -> None:
    async with rig.client() as client:
        usage = (await say(client, script(text="Short.") + "x" * 500_000)).usage
    assert usage.input_tokens > 100_000
    bill = await rig.control("GET", "/sim/bill")
    assert bill["nano_usd"] == usage.input_tokens * 500 + usage.output_tokens * 2_500


async def test_tokens_are_counted_as_they_are_billed(rig: Rig) -> None:
    async with rig.client() as client:
        messages: Any = [{"role": "user", "content": "How many tokens?"}]
        counted = await client.messages.count_tokens(model=HAIKU, messages=messages, tools=[ORDER_TOOL])
        message = await say(client, "", messages=messages, tools=[ORDER_TOOL])
    assert counted.input_tokens == message.usage.input_tokens
    assert (await rig.control("GET", "/sim/bill"))["calls"] == 1


async def test_max_tokens_cuts_the_answer(rig: Rig) -> None:
    async with rig.client() as client:
        message = await say(client, script(tokens=500), max_tokens=20)
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 20


async def test_an_answer_fits_the_schema_that_was_asked_for(rig: Rig) -> None:
    schema: Any = {
        "type": "object",
        "required": ["decision", "amount"],
        "properties": {"decision": {"enum": ["refund", "refuse"]}, "amount": {"type": "integer"}},
    }
    async with rig.client() as client:
        message = await say(
            client, "Decide.", output_config={"format": {"type": "json_schema", "schema": schema}}
        )
    assert json.loads(text(message)) == {"decision": "refund", "amount": 1}


async def test_a_rate_limit_says_when_there_is_room(rig: Rig) -> None:
    rig.turn_to(requests_per_minute=2)
    async with rig.client() as client:
        raw = await client.messages.with_raw_response.create(
            model=HAIKU, max_tokens=100, messages=[{"role": "user", "content": "one"}]
        )
        assert raw.headers["anthropic-ratelimit-requests-limit"] == "2"
        assert raw.headers["anthropic-ratelimit-requests-remaining"] == "1"
        await say(client, "two")
        with pytest.raises(anthropic.RateLimitError) as caught:
            await say(client, "three")
        assert 0 < float(caught.value.response.headers["retry-after"]) <= 30
    async with rig.client("key-b") as other:
        await say(other, "another key has its own limit")


async def test_a_share_of_calls_fails_by_the_seed_alone(rig: Rig) -> None:
    rig.turn_to(error_rate=0.5, faults={"529": 1.0})

    async def failures() -> list[int]:
        found = []
        async with rig.client() as client:
            for number in range(20):
                try:
                    await say(client, f"question {number}")
                except anthropic.APIStatusError:
                    found.append(number)
        return found

    first = await failures()
    await rig.control("POST", "/sim/reset")
    assert await failures() == first
    assert 0 < len(first) < 20


async def test_answers_are_counted_by_mark_and_turn(rig: Rig) -> None:
    async with rig.client() as client:
        await say(client, script(text="a", mark="task-7"))
        await say(client, "b", extra_headers={"x-sim-mark": "task-8"})
        await say(client, "b", extra_headers={"x-sim-mark": "task-8"})
    calls = await rig.control("GET", "/sim/calls")
    assert calls["answered"] == {"task-7": {"0": 1}, "task-8": {"0": 2}}


async def test_an_outage_begins_and_ends_while_it_runs(rig: Rig) -> None:
    async with rig.client() as client:
        await rig.control("POST", "/sim/behaviour", outage="500")
        with pytest.raises(anthropic.InternalServerError):
            await say(client, "down?")
        await rig.control("POST", "/sim/behaviour", outage="")
        await say(client, "up again")
    refused = await rig.control("POST", "/sim/behaviour", colour="blue")
    assert "no knob is called colour" in refused["error"]["message"]


async def test_keys_and_bodies_have_their_bounds(rig: Rig) -> None:
    rig.turn_to(keys=["good"], max_body_bytes=10_000)
    async with rig.client("bad") as client:
        with pytest.raises(anthropic.AuthenticationError):
            await say(client, "hello")
    async with rig.client("good") as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await say(client, "x" * 20_000)
        assert caught.value.status_code == 413
        await say(client, "short")


async def test_a_batch_costs_half(rig: Rig) -> None:
    rig.turn_to(batch_seconds=0.0)
    requests: Any = [
        {
            "custom_id": f"r{number}",
            "params": {
                "model": HAIKU,
                "max_tokens": 100,
                "messages": [{"role": "user", "content": script(text=f"answer {number}")}],
            },
        }
        for number in range(3)
    ]
    async with rig.client() as client:
        batch = await client.messages.batches.create(requests=requests)
        while batch.processing_status != "ended":
            batch = await client.messages.batches.retrieve(batch.id)
        assert batch.request_counts.succeeded == 3
        results = [item async for item in await client.messages.batches.results(batch.id)]
    cost = 0
    for item in results:
        assert item.result.type == "succeeded"
        usage = item.result.message.usage
        assert usage.service_tier == "batch"
        cost += -(-(usage.input_tokens * 100 + usage.output_tokens * 500) // 2)
    assert (await rig.control("GET", "/sim/bill"))["nano_usd"] == cost


@pytest.mark.parametrize(
    "change",
    [
        {"system": 5},
        {"system": [5]},
        {"tools": 5},
        {"tools": ["lookup_order"]},
        {"thinking": "adaptive"},
        {"stop_sequences": 5},
        {"stop_sequences": [5]},
        {"output_config": [5]},
        {"output_config": {"format": "json"}},
        {"tool_choice": "any"},
        {"cache_control": 5},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": 5}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
        {"messages": [5]},
        {"model": 5},
        {"max_tokens": True},
        {"messages": [{"role": "user", "content": 'sim:{"turns": 5}'}]},
        {"messages": [{"role": "user", "content": 'sim:{"seconds": "x"}'}]},
        {"messages": [{"role": "user", "content": 'sim:{"tool": "a", "input": 5}'}]},
    ],
)
async def test_malformed_requests_are_refused_and_the_simulator_goes_on(
    rig: Rig, change: dict[str, Any]
) -> None:
    body = {"model": HAIKU, "max_tokens": 10, "messages": [{"role": "user", "content": "x"}]} | change
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    async with httpx.AsyncClient(base_url=rig.url, timeout=5) as client:
        response = await client.post("/v1/messages", json=body, headers=headers)
        assert response.status_code == 400, response.text
        assert response.json()["error"]["type"] == "invalid_request_error"
    async with rig.client() as client:
        await say(client, "still there?")
