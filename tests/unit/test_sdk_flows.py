"""What the clients do, played by hand: what goes out, what comes back, how long they pause."""

import json
from collections.abc import Generator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agentfleet import flows, wire
from agentfleet.flows import Answer, Pause
from agentfleet.models import TaskRequest
from agentfleet_core.errors import (
    BudgetExhausted,
    Conflict,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    TaskFailed,
    Unauthorized,
    Unavailable,
)
from agentfleet_core.problems import problem_of

MIDNIGHT = datetime(2026, 11, 25, tzinfo=ZoneInfo("Europe/Berlin"))
TASK = wire.task("interactive.01kavqz8s3h6x2m4n7p9q1r5t8")


def ok(content: Any, now: float = 0.0) -> Answer:
    return Answer(now, 200, json.dumps(content).encode())


def refused(status: int, problem: object, retry_after: str | None = None) -> Answer:
    return Answer(0.0, status, json.dumps(problem).encode(), retry_after)


def play(
    flow: Generator[Any, Answer, Any], answers: list[Answer]
) -> tuple[Any, list[wire.Call], list[Pause]]:
    """The result, the calls that went out, and the pauses between them."""
    calls: list[wire.Call] = []
    pauses: list[Pause] = []
    waiting = iter(answers)
    step = next(flow)
    try:
        while True:
            if isinstance(step, Pause):
                pauses.append(step)
                step = flow.send(Answer(float(len(pauses))))
            else:
                calls.append(step)
                step = flow.send(next(waiting))
    except StopIteration as end:
        return end.value, calls, pauses


def test_a_lost_connection_is_tried_again_with_growing_pauses() -> None:
    lost = Answer(0.0, error=OSError("reset"))

    result, calls, pauses = play(flows.ask(TASK, 3), [lost, lost, lost, ok({"id": "x"})])

    assert result == {"id": "x"}
    assert calls == [TASK] * 4
    assert [pause.at_least_seconds for pause in pauses] == [0.05, 0.1, 0.2]
    assert all(pause.jitter_seconds == pause.at_least_seconds for pause in pauses)


def test_a_connection_that_stays_lost_says_where_to_look() -> None:
    with pytest.raises(Unavailable, match=r"cannot be reached: reset; check AGENTFLEET_URL"):
        play(flows.ask(TASK, 1), [Answer(0.0, error=OSError("reset"))] * 2)


def test_a_busy_server_is_given_the_time_that_it_asks_for() -> None:
    busy = refused(429, problem_of(Overloaded("full", retry_after_seconds=7)), "7")

    _, _, pauses = play(flows.ask(TASK, 2), [busy, ok({})])

    assert pauses[0].at_least_seconds == 7


def test_an_absurd_retry_after_is_bounded() -> None:
    for text, seconds in (("86400", 60.0), ("soon", 0.05), ("-5", 0.05)):
        _, _, pauses = play(flows.ask(TASK, 1), [Answer(0.0, 503, b"", text), ok({})])
        assert pauses[0].at_least_seconds == seconds


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequest("wrong", field="input.order"), 422),
        (NotFound("task", "x"), 404),
        (Conflict("another body"), 409),
        (Unauthorized("no key"), 401),
        (BudgetExhausted("spent", tenant="acme", limit="day", resets_at=MIDNIGHT), 402),
    ],
)
def test_a_problem_becomes_the_error_that_the_server_raised(error: Exception, status: int) -> None:
    with pytest.raises(type(error)) as raised:
        play(flows.ask(TASK, 5), [refused(status, problem_of(error))])

    assert str(raised.value) == str(error)
    assert vars(raised.value) == vars(error)


def test_an_answer_that_is_no_problem_is_still_an_error_that_names_it() -> None:
    with pytest.raises(Unavailable, match="answered 500: <html>Bad"):
        play(flows.ask(TASK, 0), [Answer(0.0, 500, b"<html>Bad gateway</html>")])
    with pytest.raises(InvalidRequest, match="answered 418"):
        play(flows.ask(TASK, 0), [Answer(0.0, 418, b"")])


def test_a_batch_sends_again_only_what_the_server_was_too_busy_for() -> None:
    requests = [wire.with_key(("refund-request", {"n": n})) for n in range(3)]
    full = {"status": 429, "problem": problem_of(Overloaded("full", retry_after_seconds=2))}
    bad = {"status": 422, "problem": problem_of(InvalidRequest("off schema"))}

    result, calls, pauses = play(
        flows.submit_many(requests, 3),
        [
            ok({"items": [{"status": 201, "task": {"id": "a"}}, full, bad]}),
            ok({"items": [{"status": 201, "task": {"id": "b"}}]}),
        ],
    )

    assert [result[0], result[1]] == [{"id": "a"}, {"id": "b"}]
    assert isinstance(result[2], InvalidRequest)
    assert [len(call.body["tasks"]) for call in calls] == [3, 1]
    assert calls[1].body["tasks"][0]["idempotency_key"] == requests[1].idempotency_key
    assert pauses[0].at_least_seconds == 2


def test_many_tasks_go_in_requests_of_a_thousand() -> None:
    requests = [wire.with_key(("anything", {})) for _ in range(2_500)]

    def answer(count: int) -> Answer:
        return ok({"items": [{"status": 201, "task": {"id": "x"}}] * count})

    result, calls, _ = play(flows.submit_many(requests, 0), [answer(1_000), answer(1_000), answer(500)])

    assert [len(call.body["tasks"]) for call in calls] == [1_000, 1_000, 500]
    assert len(result) == 2_500


def result_json(state: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": "x", "state": state, "output": None, "error": None, "limitations": [], "cost_usd": "0",
        "cost_nano_usd": 0, "steps": [],
    } | fields  # fmt: skip


def test_a_result_is_asked_for_until_it_is_there() -> None:
    answers = [ok(result_json("running"), now=21.0), ok(result_json("succeeded", output=42), now=30.0)]

    result, calls, _ = play(flows.result("x", None, True, 0), answers)

    assert result.output == 42
    assert [call.query["wait_seconds"] for call in calls] == [20, 20]


def test_a_result_that_takes_too_long_is_a_deadline() -> None:
    with pytest.raises(DeadlineExceeded, match="wait for task x"):
        play(flows.result("x", 5, True, 0), [ok(result_json("running"), now=6.5)])


def test_a_failed_task_raises_unless_asked_not_to() -> None:
    problem = {"title": "Handler failed", "detail": "KeyError: 'order'"}
    failed = ok(result_json("dead", error=problem))

    with pytest.raises(TaskFailed, match="task x ended dead: KeyError: 'order'") as raised:
        play(flows.result("x", 5, True, 0), [failed])
    result, _, _ = play(flows.result("x", 5, False, 0), [failed])

    assert raised.value.problem == problem
    assert (result.state, result.error) == ("dead", problem)


def test_events_are_read_line_by_line_and_know_where_to_resume() -> None:
    parser = wire.EventParser()
    lines = [
        "retry: 1000",
        "",
        ": still here",
        "",
        "id: 7",
        "event: delta",
        'data: {"text":',
        'data: "hi","attempt":2}',
        "",
    ]

    events = [event for line in lines for event in parser.feed(line)]

    (event,) = events
    assert (event.id, event.type, event.attempt, event.data) == ("7", "delta", 2, {"text": "hi"})
    assert parser.last_id == "7"


def test_what_cannot_be_sent_says_so_before_it_is_sent() -> None:
    for value in (float("nan"), object(), "\ud800"):
        with pytest.raises(InvalidRequest, match="cannot be sent as JSON"):
            _ = wire.submit(TaskRequest("anything", {"value": value})).content
    with pytest.raises(InvalidRequest, match="fields that the API does not know"):
        wire.with_key({"type": "anything", "inputs": {}})
    with pytest.raises(InvalidRequest, match="use pool/NAME or task/ID"):
        wire.why("interactive")
