"""What a provider or a proxy does to a call that no well-behaved one does, and what the task pays then."""

import asyncio
import json
import time

import pytest
from tests.integration.worker.rig import Fleet, output, problem, spent_and_held
from tests.integration.worker.scripted_provider import (
    END,
    HEAD,
    chunk,
    last_word,
    message,
    not_now,
    scripted_provider,
    too_many_requests,
)

from agentfleet_core.queue.envelope import TaskState
from agentfleet_core.resilience.retry_after import MAX_RETRY_AFTER_SECONDS

COST = 5 * 1_000 + 3 * 5_000
"""Of `message()`, at the test's prices."""


@pytest.mark.parametrize("holds_open", [False, True])
@pytest.mark.parametrize("handler", ["ask", "ask_plain_client"])
async def test_a_complete_answer_counts_whatever_its_connection_does_then(
    fleet: Fleet, holds_open: bool, handler: str
) -> None:
    fleet.handler(handler, timeouts={"llmCallSeconds": 2})
    async with scripted_provider(lambda _: HEAD + chunk(message()), holds_open=holds_open) as provider:
        fleet.provider_at(provider.url)
        await fleet.publish()
        async with fleet.worker():
            options = {"stream": True} if handler == "ask_plain_client" else {}
            record = await fleet.run(handler.replace("_", "-"), question="Hello", **options)
    assert output(record)["text"] == "hi"
    assert (len(provider.calls), record.cost) == (1, COST)
    assert await spent_and_held(fleet) == (COST, 0)


async def test_a_connection_that_ends_its_answer_serves_the_next_call(fleet: Fleet) -> None:
    fleet.handler("three_calls")
    async with scripted_provider(lambda _: HEAD + chunk(message()) + END) as provider:
        fleet.provider_at(provider.url)
        await fleet.publish()
        async with fleet.worker():
            output(await fleet.run("three-calls", label="one"))
    assert (len(provider.calls), provider.connections) == (3, 1)


async def test_an_answer_larger_than_a_message_can_be_is_cut_and_charged(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentfleet_worker.calls.tries.MAX_RESPONSE_BYTES", 20_000)
    large = [HEAD, chunk(message("x" * 30_000)), END]
    fleet.handler("ask")
    async with scripted_provider(
        lambda call: b"".join(large) if call == 1 else HEAD + chunk(message()) + END
    ) as provider:
        fleet.provider_at(provider.url)
        await fleet.publish()
        async with fleet.worker():
            record = await fleet.run("ask", question="Hello")
    assert output(record)["text"] == "hi"
    steps = await fleet.steps(record.envelope.id)
    assert sorted((key, step.kind) for key, step in steps.items()) == [
        ("answer", "llm"), ("answer!1.1", "cut"),
    ]  # fmt: skip
    assert await spent_and_held(fleet) == (record.cost, 0)


async def test_a_usage_that_no_price_covers_costs_the_worst_case(fleet: Fleet) -> None:
    usage = {"output_tokens": 3, "iterations": [{"type": "dream", "input_tokens": 5, "output_tokens": 3}]}
    fleet.handler("ask")
    async with scripted_provider(lambda _: HEAD + chunk(message(usage=usage)) + END) as provider:
        fleet.provider_at(provider.url)
        await fleet.publish()
        async with fleet.worker():
            record = await fleet.run("ask", question="Hello")
    assert output(record)["text"] == "hi"
    assert record.cost >= 200 * 5_000  # all that the call might have said
    assert await spent_and_held(fleet) == (record.cost, 0)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("429 Too Many Requests", "rate_limit_error"),
        ("503 Service Unavailable", "api_error"),
        ("529 Overloaded", "overloaded_error"),
    ],
)
async def test_who_comes_after_a_call_that_was_told_to_wait_waits_with_it_and_has_not_failed(
    fleet: Fleet, status: str, kind: str
) -> None:
    fleet.handler("ask", retry={"maxAttempts": 1}, timeouts={"stepSeconds": 60, "llmCallSeconds": 30})
    async with scripted_provider(lambda _: not_now(status, kind, "120")) as provider:
        fleet.provider_at(provider.url)
        await fleet.publish()
        async with fleet.worker():
            first = await fleet.submit("ask", question="1")
            await fleet.event(first, "parked")
            later = [await fleet.submit("ask", question=str(number)) for number in range(2, 6)]
            for task in later:
                await fleet.event(task, "parked")
            records = [await fleet.record(task) for task in (first, *later)]
    assert [(record.state, record.failures) for record in records] == [(TaskState.PARKED, 0)] * 5
    assert {record.reason.partition(":")[0] for record in records} == {"Throttled"}
    assert len(provider.calls) == 1
    assert await spent_and_held(fleet) == (0, 0)


async def test_a_429_that_one_worker_met_holds_the_next_one_back(fleet: Fleet) -> None:
    fleet.handler("ask", timeouts={"stepSeconds": 60, "llmCallSeconds": 30})
    async with scripted_provider(lambda _: too_many_requests("120")) as provider:
        fleet.provider_at(provider.url)
        await fleet.publish()
        async with fleet.worker("w1"):
            await fleet.event(await fleet.submit("ask", question="1"), "parked")
        async with fleet.worker("w2"):
            later = await fleet.submit("ask", question="2")
            await fleet.event(later, "parked")
    record = await fleet.record(later)
    assert record.reason.startswith("Throttled: the provider asked tier fast to wait for another 1")
    assert (record.failures, len(provider.calls)) == (0, 1)


async def test_a_short_wait_of_the_tier_is_waited_out_in_place(fleet: Fleet) -> None:
    """The neighbour's call leaves after the time that the refused one was told, in its first attempt."""
    fleet.handler("ask")
    loop = asyncio.get_running_loop()
    times: list[float] = []

    def answer(call: int) -> bytes:
        times.append(loop.time())
        return too_many_requests("0.5") if call == 1 else HEAD + chunk(message()) + END

    async with scripted_provider(answer) as provider:
        fleet.provider_at(provider.url)
        await fleet.publish()
        async with fleet.worker():
            first = await fleet.submit("ask", question="1")
            await provider.called.wait()
            second = await fleet.submit("ask", question="2")
            records = [await fleet.ended(first), await fleet.ended(second)]
    assert [output(record)["text"] for record in records] == ["hi", "hi"]
    assert [(record.attempt, record.failures) for record in records] == [(1, 0), (1, 0)]
    assert all(at - times[0] >= 0.5 for at in times[1:])


@pytest.mark.parametrize("text", ["inf", "1e300"])
async def test_an_absurd_retry_after_is_bounded(fleet: Fleet, text: str) -> None:
    fleet.handler("ask")
    async with scripted_provider(lambda _: too_many_requests(text)) as provider:
        fleet.provider_at(provider.url)
        await fleet.publish()
        async with fleet.worker():
            task = await fleet.submit("ask", question="Hello")
            await fleet.event(task, "parked")
    record = await fleet.record(task)
    assert (record.state, record.failures) == (TaskState.PARKED, 0)
    latest_ms = (time.time() + MAX_RETRY_AFTER_SECONDS + 1) * 1_000  # Redis runs by the same clock
    assert record.not_before_ms <= latest_ms


@pytest.mark.parametrize(
    ("method", "path", "passes"),
    [
        ("GET", "/v1/models", True),
        ("GET", "/v1/models/claude-haiku-5-5", True),
        ("GET", "/v1/models?limit=5", True),
        ("POST", "/v1/messages/count_tokens", True),
        ("POST", "/v1/models/%2e%2e/messages", False),
        ("POST", "/v1/models/../messages", False),
        ("GET", "/v1/models/..%2fmessages", False),
        ("GET", "/v1/models/%2e%2e", False),
        ("POST", "/v1/models", False),
        ("POST", "/v1/messages/count_tokens/x", False),
        ("POST", "/v1/modelsandmore", False),
        ("POST", "/v1/messages/batches", False),
    ],
)
async def test_only_calls_that_are_known_to_be_free_leave_without_a_hold(
    fleet: Fleet, method: str, path: str, passes: bool
) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
    fleet.handler("call_path")
    async with scripted_provider(lambda _: answer) as provider:
        fleet.provider_at(provider.url)
        await fleet.publish()
        async with fleet.worker():
            record = await fleet.run("call-path", method=method, path=path)
    assert output(record) == (200 if passes else 400)
    assert provider.calls == ([f"{method} {path} HTTP/1.1"] if passes else [])


async def test_a_call_that_breaks_for_good_says_so(fleet: Fleet) -> None:
    fleet.handler("ask", retry={"maxAttempts": 1}, timeouts={"stepSeconds": 1})
    async with scripted_provider(lambda _: HEAD + chunk(message()[:-30])) as provider:
        fleet.provider_at(provider.url)
        await fleet.publish()
        async with fleet.worker():
            record = await fleet.run("ask", question="Hello")
    assert (record.state, problem(record)["reason"]) == ("dead", "ProviderUnavailable")
    assert await spent_and_held(fleet) == (record.cost, 0)


@pytest.mark.parametrize("handler", ["ask", "ask_plain_client"])
@pytest.mark.parametrize("kind", ["billing_error", "authentication_error", "invalid_request_error"])
async def test_what_cannot_succeed_is_not_bought_again_also_when_the_stream_says_so(
    fleet: Fleet, kind: str, handler: str
) -> None:
    fleet.handler(handler)
    async with scripted_provider(lambda _: HEAD + chunk(last_word(kind, "no more")) + END) as provider:
        fleet.provider_at(provider.url)
        await fleet.publish()
        async with fleet.worker():
            options = {"stream": True} if handler == "ask_plain_client" else {}
            record = await fleet.run(handler.replace("_", "-"), question="Hello", **options)
    assert (record.state, record.attempt, len(provider.calls)) == ("failed", 1, 1)
    assert problem(record)["reason"] == "ProviderRefused"
    assert f"{kind}: no more" in problem(record)["detail"]
    assert await spent_and_held(fleet) == (record.cost, 0)


async def test_a_follower_is_told_to_forget_what_a_cut_call_had_said(fleet: Fleet) -> None:
    whole = message("Good bye")
    part = whole[: whole.index(b"event: content_block_stop")]
    fleet.handler("ask", timeouts={"llmCallSeconds": 1})
    async with scripted_provider(
        lambda call: HEAD + chunk(part if call == 1 else message("Hello world")), holds_open=True
    ) as provider:
        fleet.provider_at(provider.url)
        await fleet.publish()
        async with fleet.worker():
            task = await fleet.submit("ask", question="Hello")
            events = [(event.type, event.data) async for event in fleet.queue.follow(task)]
    told = [(kind, json.loads(data)) for kind, data in events if kind in ("delta", "reset")]
    assert told == [
        ("delta", {"step": "answer", "text": "Good bye"}),
        ("reset", {"step": "answer"}),
        ("delta", {"step": "answer", "text": "Hello world"}),
    ]
