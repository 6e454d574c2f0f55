"""What a worker decides without asking anybody: prompts, turns, endings, partial results."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from agentfleet_core.errors import DeadlineExceeded, HandlerFailed, InvalidInput
from agentfleet_core.providers.anthropic.api import without_thinking
from agentfleet_core.queue.envelope import Claim, Envelope, SettleKind, TaskState
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.queue.step import StepKind, StepRecord, decode_step, decode_steps, encode_json
from agentfleet_worker.attempt.outcomes import of_exception, park, problem, settlement
from agentfleet_worker.attempt.replay import partial
from agentfleet_worker.calls.anthropic.turns import (
    Answered,
    GoesOn,
    Stuck,
    WantsTools,
    cache_until_here,
    read_turn,
)
from agentfleet_worker.running.templates import fill

INPUT: Mapping[str, Any] = {
    "order": "A-1",
    "customer": {"name": "Ada"},
    "items": [1, 2],
    "odd": "{{ input.order }}",
}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("Order {{ input.order }}.", "Order A-1."),
        ("{{input.customer.name}} has {{ input.items }}", "Ada has [1,2]"),
        ("{{ input.odd }}", "{{ input.order }}"),
        ("{{ input.customer }}", '{"name":"Ada"}'),
        ("no places, but { braces } and }} too", "no places, but { braces } and }} too"),
    ],
)
def test_a_prompt_takes_its_places_from_the_input(template: str, filled: str) -> None:
    assert fill(template, INPUT) == filled


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ input.ordre }}", r"the prompt asks for \{\{ input.ordre \}\}, which the input lacks"),
        ("{{ input.order.name }}", "which the input lacks"),
        ("{{ order }}", "is no field of the input; write {{ input.NAME }}"),
        ("{{ input.__class__ }}", "which the input lacks"),
    ],
)
def test_a_place_without_a_value_is_named(template: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        fill(template, INPUT)


TEXT = {"type": "text", "text": "It ships."}
USE = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}


@pytest.mark.parametrize(
    ("reason", "content", "meaning"),
    [
        ("end_turn", [THOUGHT, TEXT], Answered("It ships.")),
        ("end_turn", [], Answered("")),
        ("stop_sequence", [TEXT], Answered("It ships.")),
        ("tool_use", [TEXT, USE], WantsTools((USE,))),
        ("pause_turn", [TEXT], GoesOn()),
        ("max_tokens", [TEXT], Answered("It ships.", "The answer was cut by maxOutputTokens.")),
        ("of_next_year", [USE], WantsTools((USE,))),
    ],
)
def test_a_response_means_one_thing(reason: str, content: list[Any], meaning: object) -> None:
    assert read_turn({"stop_reason": reason, "content": content}) == meaning


@pytest.mark.parametrize(
    ("reason", "content", "why"),
    [
        ("refusal", [TEXT], AttemptReason.MODEL_REFUSED),
        ("max_tokens", [THOUGHT], AttemptReason.ANSWER_CUT),
        ("max_tokens", [TEXT, USE], AttemptReason.ANSWER_CUT),
        ("model_context_window_exceeded", [], AttemptReason.ANSWER_CUT),
        ("tool_use", [], AttemptReason.ANSWER_CUT),
        ("of_next_year", [], AttemptReason.ANSWER_CUT),
    ],
)
def test_some_responses_lead_nowhere(reason: str, content: list[Any], why: AttemptReason) -> None:
    meaning = read_turn({"stop_reason": reason, "content": content})
    assert isinstance(meaning, Stuck)
    assert meaning.reason is why


def test_a_refusal_says_its_category() -> None:
    meaning = read_turn({"stop_reason": "refusal", "content": [], "stop_details": {"category": "cyber"}})
    assert meaning == Stuck(AttemptReason.MODEL_REFUSED, "the model refused to answer: cyber")


def test_another_model_does_not_see_the_thinking() -> None:
    assert without_thinking([THOUGHT, {"type": "redacted_thinking", "data": "x"}, TEXT, USE]) == [TEXT, USE]


def test_the_cache_breakpoint_stands_at_the_end_alone() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [TEXT]},
    ]
    messages.append(
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}]}
    )
    cached = cache_until_here(messages)
    assert cached[:2] == messages[:2]
    assert cached[2]["content"][-1]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in messages[2]["content"][-1]


def test_what_a_handler_raises_is_tried_again_with_its_place() -> None:
    nothing: dict[str, str] = {}
    try:
        nothing["order"]
    except KeyError as error:
        ending = of_exception(error)
    assert ending.kind is SettleKind.RETRY
    assert ending.problem is not None
    place = re.compile(r"KeyError: 'order' \(unit/test_worker_decisions\.py:\d+ in test_\w+\)")
    assert place.fullmatch(str(ending.problem["detail"]))
    assert ending.problem["type"] == "https://agentfleet.dev/problems/handler-failed"
    assert ending.problem["title"] == "Handler failed"


def test_the_place_is_in_users_own_code_also_where_it_called_a_library() -> None:
    try:
        json.loads("no JSON")
    except ValueError as error:
        ending = of_exception(error)
    assert ending.problem is not None
    assert " (unit/test_worker_decisions.py:" in str(ending.problem["detail"])


def test_a_handler_may_say_that_trying_again_cannot_help() -> None:
    final = HandlerFailed("the order is cancelled", retryable=False)
    assert (of_exception(final).kind, of_exception(final).state) == (SettleKind.END, TaskState.FAILED)
    assert of_exception(HandlerFailed("the shop is closed")).kind is SettleKind.RETRY


def test_a_problem_keeps_the_fields_of_its_error_and_is_never_endless() -> None:
    made = problem(AttemptReason.TASK_TIMEOUT, "x" * 9_000, DeadlineExceeded("task", 3))
    assert (made["scope"], made["seconds"], made["reason"]) == ("task", 3, "TaskTimeout")
    assert len(str(made["detail"])) == 2_000


def step(kind: StepKind, result: Any, ended_ms: int) -> StepRecord:
    return StepRecord(kind, "s", result, ended_ms - 10, ended_ms, cost=7)


def test_a_partial_result_holds_the_steps_in_their_order() -> None:
    steps = {
        "turn-2": step(StepKind.LLM, {"content": [THOUGHT, TEXT]}, 30),
        "tool-1-1": step(StepKind.TOOL, {"content": "shipped", "is_error": False}, 20),
        "facts": step(StepKind.STEP, {"n": 1}, 10),
        "turn-3!1.1": step(StepKind.CUT, None, 40),
    }
    ending = partial(steps, "taskSeconds", 3)
    assert ending.state is TaskState.PARTIAL
    assert ending.output == b'{"steps":{"facts":{"n":1},"tool-1-1":"shipped","turn-2":"It ships."}}'
    assert ending.limitations == (
        "The task did not end within taskSeconds (3 s); done are facts, tool-1-1, turn-2.",
    )


def test_too_large_a_partial_result_names_its_steps_only() -> None:
    ending = partial({"big": step(StepKind.STEP, "x" * 2_000_000, 1)}, "taskSeconds", 3)
    assert ending.output == b'{"steps":{"big":null}}'
    assert len(ending.limitations) == 2


def test_time_over_with_nothing_done_is_a_failure() -> None:
    ending = partial({"turn-1!1.1": step(StepKind.CUT, None, 1)}, "expiresAfterSeconds", 9)
    assert (ending.kind, ending.state) == (SettleKind.END, TaskState.FAILED)
    assert ending.problem is not None
    assert "within expiresAfterSeconds (9 s), and no step of it had" in str(ending.problem["detail"])


def test_a_step_record_says_itself_again() -> None:
    record = StepRecord(
        StepKind.LLM, "answer", {"content": []}, 1, 2, 3, "fast", "haiku", {"input_tokens": 4}
    )
    assert decode_step(record.encode()) == record


@pytest.mark.parametrize("value", [b"", b"[]", b'{"kind":"llm"}', b'{"kind":"song","name":"","result":1}'])
def test_what_is_no_step_record_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidInput, match="not a step record"):
        decode_step(value)


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match="dict cannot be written as JSON: Type is not JSON serializable: object"
    ):
        encode_json({"a": object()})
    assert encode_json({1: {"b", "a"}}) == b'{"1":["a","b"]}'


def test_a_park_keeps_its_word_apart_from_its_sentence() -> None:
    ending = park(AttemptReason.THROTTLED, "the provider asks: wait", not_before_ms=7)
    assert (ending.reason, ending.detail) == (AttemptReason.THROTTLED, "the provider asks: wait")
    envelope = Envelope("p.01kavqz8s3h6x2m4n7p9q1r5t8", "acme", "greet", 50, "r1", "fast", "", b"{}")
    made = settlement(Claim(envelope, 2, 0, 1, 2, 0, 3, {}), ending)
    assert made.reason == "Throttled: the provider asks: wait"


def test_what_is_no_step_does_not_hide_the_steps() -> None:
    good = step(StepKind.STEP, {"n": 1}, 10)
    later = b'{"kind":"song","name":"","result":1,"started_ms":1,"ended_ms":2}'
    assert decode_steps({"facts": good.encode(), "route": b'"fast"', "later": later}) == {"facts": good}
