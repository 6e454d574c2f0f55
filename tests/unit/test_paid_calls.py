"""A paid call on its way: another provider than Anthropic, models that fail, prompts that must be counted.

Nothing here knows the Messages API: a provider is one module and its line in the registry.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from tests.unit.call_rig import BAND, EVER, MICRO, Calls, Switchboard, Wire, said

from agentfleet_core.api.v1alpha1.model_tier import Model
from agentfleet_core.queue.envelope import SettleKind
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.queue.step import StepKind
from agentfleet_worker.attempt.outcomes import AttemptStopped

Answer = Callable[[httpx2.Request], httpx2.Response]


def of(calls: Calls) -> list[tuple[str, str]]:
    """Path and model of what left."""
    return [
        (request.url.path, json.loads(request.content).get("model", "") if request.url.path == "/say" else "")
        for request in calls.wire.sent
    ]


def model_of(request: httpx2.Request) -> str:
    return str(json.loads(request.content)["model"])


async def spent_and_held(calls: Calls) -> tuple[int, int]:
    counts = list(calls.ledger._counts.values())
    return sum(each.spent for each in counts), sum(each.held for each in counts)


async def test_another_provider_is_metered_by_its_own_words_alone(tmp_path: Path) -> None:
    wire = Wire(lambda _: httpx2.Response(200, content=said("hi")))
    calls = Calls(tmp_path, wire, Switchboard())
    answer = await calls.ask(say="hello", most=100)
    assert answer.json() == {"text": "hi", "usage": {"heard": 5, "said": 3}}
    [sent] = wire.sent
    assert str(sent.url) == "https://echo.example/say"
    assert sent.headers["authorization"] == "Bearer secret"
    record = calls.task.kept["answer"]
    assert (record.kind, record.tier, record.model, record.cost) == (StepKind.LLM, "fast", "small", 8 * MICRO)
    assert await spent_and_held(calls) == (8 * MICRO, 0)


async def test_what_was_journaled_is_answered_in_the_providers_own_stream(tmp_path: Path) -> None:
    wire = Wire(lambda _: httpx2.Response(200, content=said("hi")))
    calls = Calls(tmp_path, wire, Switchboard())
    await calls.ask(say="hello", most=100)
    again = await calls.ask(say="hello", most=100, stream=True)
    assert again.content == b'{"text":"hi","usage":{"heard":5,"said":3}}\n'
    assert len(wire.sent) == 1


async def test_a_call_without_a_bound_is_not_made(tmp_path: Path) -> None:
    calls = Calls(tmp_path, Wire(lambda _: httpx2.Response(500)), Switchboard())
    with pytest.raises(AttemptStopped) as stopped:
        await calls.ask(say="hello")
    assert stopped.value.ending.reason is AttemptReason.COST_UNKNOWN
    assert calls.wire.sent == []


async def test_the_providers_refusal_reaches_the_caller_and_costs_nothing(tmp_path: Path) -> None:
    calls = Calls(tmp_path, Wire(lambda _: httpx2.Response(400, content=b"what?")), Switchboard())
    answer = await calls.ask(say="hello", most=100)
    assert (answer.status_code, answer.content) == (400, b"what?")
    assert await spent_and_held(calls) == (0, 0)


async def test_a_refusal_of_which_its_provider_says_that_it_is_final_is_not_tried_again(
    tmp_path: Path,
) -> None:
    answer = httpx2.Response(500, headers={"x-hopeless": "yes"}, content=b"cough")
    calls = Calls(tmp_path, Wire(lambda _: answer), Switchboard())
    assert (await calls.ask(say="hello", most=100)).status_code == 500
    assert of(calls) == [("/say", "small")]


async def test_a_task_whose_key_is_not_there_yet_waits_and_costs_nothing(tmp_path: Path) -> None:
    calls = Calls(tmp_path, Wire(lambda _: httpx2.Response(200, content=said("hi"))), Switchboard())
    calls.key.unlink()
    with pytest.raises(AttemptStopped) as stopped:
        await calls.ask(say="hello", most=100)
    assert stopped.value.ending.kind is SettleKind.PARK
    assert stopped.value.ending.reason is AttemptReason.KEY_MISSING
    assert calls.wire.sent == []
    assert await spent_and_held(calls) == (0, 0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoff that takes no time."""
    monkeypatch.setattr("agentfleet_worker.calls.loop.random.random", lambda: 0.0)


@pytest.mark.usefixtures("quick")
async def test_a_model_that_keeps_failing_is_left_for_the_next_and_the_step_says_so(tmp_path: Path) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if model_of(request) == "small":
            return httpx2.Response(500, content=b"cough")
        return httpx2.Response(200, content=said("hi"))

    calls = Calls(tmp_path, Wire(answer), Switchboard("small", "spare"))
    assert (await calls.ask(say="hello", most=100)).json()["text"] == "hi"
    assert of(calls) == [("/say", "small")] * 3 + [("/say", "spare")]
    record = calls.task.kept["answer"]
    assert (record.model, record.instead_of) == ("spare", "small")
    assert record.limitation == "Step answer was answered by spare, since small was not to be had."
    assert await spent_and_held(calls) == (8 * MICRO, 0)


@pytest.mark.usefixtures("quick")
async def test_the_next_model_has_not_failed_yet(tmp_path: Path) -> None:
    statuses = iter([500, 500, 500, 500, 200])
    wire = Wire(lambda _: httpx2.Response(next(statuses), content=said("hi")))
    calls = Calls(tmp_path, wire, Switchboard("small", "spare", "last"))
    await calls.ask(say="hello", most=100)
    assert of(calls) == [("/say", "small")] * 3 + [("/say", "spare")] * 2


@pytest.mark.usefixtures("quick")
async def test_what_a_provider_says_for_good_inside_a_stream_is_not_bought_again(tmp_path: Path) -> None:
    wire = Wire(lambda _: httpx2.Response(200, content=b'{"error": "no voice left", "kind": "mute"}\n'))
    calls = Calls(tmp_path, wire, Switchboard("small", "spare"))
    answer = await calls.ask(say="hello", most=100)
    assert (answer.status_code, answer.content) == (410, b"no voice left")
    assert of(calls) == [("/say", "small")]
    spent, held = await spent_and_held(calls)
    assert (spent, held) == (calls.journal.cost, 0)  # the provider may bill what it had begun


async def test_a_model_that_asks_to_wait_too_long_is_left_at_once_and_by_whoever_comes_next(
    tmp_path: Path,
) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if model_of(request) == "small":
            return httpx2.Response(429, headers={"retry-after": "120"}, content=b"later")
        return httpx2.Response(200, content=said("hi"))

    calls = Calls(tmp_path, Wire(answer), Switchboard("small", "spare"))
    await calls.ask(say="hello", most=100)
    await calls.ask(say="hello again", most=100, name="second")
    assert of(calls) == [("/say", "small"), ("/say", "spare"), ("/say", "spare")]


async def test_who_names_a_model_gets_it_or_none(tmp_path: Path) -> None:
    answer = httpx2.Response(429, headers={"retry-after": "120"}, content=b"later")
    calls = Calls(tmp_path, Wire(lambda _: answer), Switchboard("small", "spare"))
    assert (await calls.ask(say="hello", most=100, tier="small")).status_code == 429
    assert of(calls) == [("/say", "small")]


async def test_a_fallback_without_a_price_is_none(tmp_path: Path) -> None:
    answer = httpx2.Response(429, headers={"retry-after": "120"}, content=b"later")
    calls = Calls(tmp_path, Wire(lambda _: answer), Switchboard("small", "spare", unpriced="spare"))
    assert (await calls.ask(say="hello", most=100)).status_code == 429
    assert of(calls) == [("/say", "small")]


async def test_a_model_that_is_free_only_after_the_call_may_end_parks_its_task(tmp_path: Path) -> None:
    calls = Calls(tmp_path, Wire(lambda _: httpx2.Response(200, content=said("hi"))), Switchboard())
    calls.health.pause("fast", "small", 120)
    with pytest.raises(AttemptStopped) as stopped:
        await calls.ask(say="hello", most=100)
    ending = stopped.value.ending
    assert (ending.kind, ending.reason) == (SettleKind.PARK, AttemptReason.THROTTLED)
    assert 118_000 < ending.not_before_ms - calls.task.running.now_ms() <= 120_000
    assert calls.wire.sent == []


@pytest.mark.parametrize(("small", "spare"), [(120, 900), (900, 120)])
async def test_a_tier_whose_models_all_wait_parks_until_the_first_of_them_is_free(
    tmp_path: Path, small: float, spare: float
) -> None:
    calls = Calls(tmp_path, Wire(lambda _: httpx2.Response(200)), Switchboard("small", "spare"))
    calls.health.pause("fast", "small", small)
    calls.health.pause("fast", "spare", spare)
    with pytest.raises(AttemptStopped) as stopped:
        await calls.ask(say="hello", most=100)
    assert 118_000 < stopped.value.ending.not_before_ms - calls.task.running.now_ms() <= 120_000
    assert calls.wire.sent == []


@pytest.mark.usefixtures("quick")
async def test_a_tier_that_is_deleted_meanwhile_serves_the_calls_that_it_has_begun(tmp_path: Path) -> None:
    follower = Switchboard("small", "spare")

    def answer(request: httpx2.Request) -> httpx2.Response:
        follower.config.tiers.pop("fast", None)
        if model_of(request) == "small":
            return httpx2.Response(500, content=b"cough")
        return httpx2.Response(200, content=said("hi"))

    calls = Calls(tmp_path, Wire(answer), follower)
    assert (await calls.ask(say="hello", most=100)).json()["text"] == "hi"
    assert await spent_and_held(calls) == (8 * MICRO, 0)


async def test_what_another_worker_was_told_holds_here_too(tmp_path: Path) -> None:
    follower = Switchboard()
    calls = Calls(tmp_path, Wire(lambda _: httpx2.Response(200, content=said("hi"))), follower)
    follower.throttles = {("fast", "small"): time.monotonic() + 120}
    with pytest.raises(AttemptStopped) as stopped:
        await calls.ask(say="hello", most=100)
    assert stopped.value.ending.reason is AttemptReason.THROTTLED
    assert calls.wire.sent == []


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"retry-after": "120"}, [("fast", "small", 120.0)]),
        ({"retry-after": "0.1"}, []),  # over before others have heard of it
        ({}, []),  # how long is this call's own guess
    ],
)
async def test_the_fleet_is_told_of_the_wait_that_the_provider_asked_for(
    tmp_path: Path, headers: dict[str, str], told: list[tuple[str, str, float]]
) -> None:
    answers = iter([httpx2.Response(429, headers=headers), httpx2.Response(200, content=said("hi"))])
    calls = Calls(tmp_path, Wire(lambda _: next(answers)), Switchboard("small", "spare"))
    assert (await calls.ask(say="hello", most=100)).status_code == 200
    await calls.background.finish(10)
    assert calls.told == told


async def test_a_wait_that_was_asked_for_is_not_shortened_by_a_later_shorter_one(tmp_path: Path) -> None:
    calls = Calls(tmp_path, Wire(lambda _: httpx2.Response(200, content=said("hi"))), Switchboard())
    calls.health.pause("fast", "small", 120)
    calls.health.pause("fast", "small", 0.01)
    with pytest.raises(AttemptStopped) as stopped:
        await calls.ask(say="hello", most=100)
    assert 118_000 < stopped.value.ending.not_before_ms - calls.task.running.now_ms() <= 120_000


async def test_another_model_does_not_wait(tmp_path: Path) -> None:
    calls = Calls(tmp_path, Wire(lambda _: httpx2.Response(200, content=said("hi"))), Switchboard())
    calls.health.pause("fast", "spare", 120)
    calls.health.pause("capable", "small", 120)
    assert (await calls.ask(say="hello", most=100)).status_code == 200


LONG = "x" * 900
"""Over a thousand bytes with what is around it: more than $0.001 at a micro-dollar each."""


@pytest.mark.parametrize("path", ["/count"])
async def test_a_prompt_that_fits_only_by_its_count_is_sent(tmp_path: Path, path: str) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == path:
            return httpx2.Response(200, content=b"225")
        return httpx2.Response(200, content=said("hi"))

    calls = Calls(tmp_path, Wire(answer), Switchboard(amount="0.0005"))
    assert (await calls.ask(say=LONG, most=100)).status_code == 200
    assert of(calls) == [("/count", ""), ("/say", "small")]
    assert await spent_and_held(calls) == (8 * MICRO, 0)


async def test_a_prompt_that_fits_is_not_counted(tmp_path: Path) -> None:
    calls = Calls(tmp_path, Wire(lambda _: httpx2.Response(200, content=said("hi"))), Switchboard())
    await calls.ask(say=LONG, most=100)
    assert of(calls) == [("/say", "small")]


@pytest.mark.parametrize(
    "count", [httpx2.Response(200, content=b"900"), httpx2.Response(503), httpx2.Response(429)]
)
async def test_a_count_that_does_not_help_or_cannot_be_had_leaves_the_refusal(
    tmp_path: Path, count: httpx2.Response
) -> None:
    calls = Calls(tmp_path, Wire(lambda _: count), Switchboard(amount="0.0005"))
    with pytest.raises(AttemptStopped) as stopped:
        await calls.ask(say=LONG, most=100)
    assert stopped.value.ending.reason is AttemptReason.CALL_ABOVE_LIMIT
    assert of(calls) == [("/count", "")]
    assert await spent_and_held(calls) == (0, 0)


async def test_a_count_that_was_refused_is_not_asked_for_again_before_its_time(tmp_path: Path) -> None:
    answer = httpx2.Response(429, headers={"retry-after": "60"})
    calls = Calls(tmp_path, Wire(lambda _: answer), Switchboard(amount="0.0005"))
    for name in ("one", "two"):
        with pytest.raises(AttemptStopped):
            await calls.ask(say=LONG, most=100, name=name)
    assert of(calls) == [("/count", "")]


@pytest.mark.usefixtures("quick")
async def test_the_next_models_prompt_is_counted_too(tmp_path: Path) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/count":
            return httpx2.Response(200, content=b"225")
        return httpx2.Response(500 if model_of(request) == "small" else 200, content=said("hi"))

    calls = Calls(tmp_path, Wire(answer), Switchboard("small", "spare", amount="0.0005"))
    await calls.ask(say=LONG, most=100)
    assert of(calls) == [
        ("/count", ""), *[("/say", "small")] * 3, ("/count", ""), ("/say", "spare"),
    ]  # fmt: skip


def miscounts(request: httpx2.Request) -> httpx2.Response:
    """A gateway to whom every prompt has one token."""
    if request.url.path == "/count":
        return httpx2.Response(200, content=b"1")
    return httpx2.Response(200, content=said("hi", heard=225))


async def test_a_count_that_an_answer_proved_wrong_is_asked_for_no_more(tmp_path: Path) -> None:
    calls = Calls(tmp_path, Wire(miscounts), Switchboard(amount="0.001"))
    assert (await calls.ask(say=LONG, most=100, name="one")).status_code == 200
    for name in ("two", "three"):
        with pytest.raises(AttemptStopped):
            await calls.ask(say=LONG, most=100, name=name)
    assert of(calls) == [("/count", ""), ("/say", "small")]
    assert await spent_and_held(calls) == (228 * MICRO, 0)


async def test_who_waited_with_a_count_that_was_proved_wrong_meanwhile_does_not_leave_by_it(
    tmp_path: Path,
) -> None:
    calls = Calls(tmp_path, Wire(lambda _: httpx2.Response(500)), Switchboard(amount="0.001"))

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/count":
            calls.counts.found_wrong(calls.routes.find(calls.task))  # by a neighbour's answer
        return miscounts(request)

    calls.wire.answer = answer
    with pytest.raises(AttemptStopped) as stopped:
        await calls.ask(say=LONG, most=100)
    assert stopped.value.ending.reason is AttemptReason.CALL_ABOVE_LIMIT
    assert of(calls) == [("/count", "")]
    assert await spent_and_held(calls) == (0, 0)


def test_a_worker_that_runs_over_midnight_reckons_with_the_new_days_prices(tmp_path: Path) -> None:
    follower = Switchboard()
    dearer = {**BAND, "input": "3"}
    prices = [{"effectiveFrom": EVER, "bands": [BAND]}, {"effectiveFrom": "2026-11-25", "bands": [dearer]}]
    model = Model.model_validate({"name": "small", "prices": prices})
    follower.config.tiers["fast"] = follower.config.tiers["fast"].model_copy(update={"models": [model]})
    calls = Calls(tmp_path, Wire(lambda _: httpx2.Response(500)), follower)
    target = calls.routes.find(calls.task)
    midnight = datetime(2026, 11, 25, tzinfo=UTC)
    costs = [
        target.provider.worst_cost(
            {"most": 0}, b"x", calls.routes.rates(target, int((midnight + late).timestamp() * 1_000))
        )
        for late in (timedelta(seconds=-1), timedelta(0), timedelta(seconds=-1))
    ]
    assert costs == [1 * MICRO, 3 * MICRO, 1 * MICRO]
