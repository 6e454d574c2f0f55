"""A task's fields have one list each for what comes in and what is shown; all who name them agree."""

from dataclasses import fields
from typing import Any, get_type_hints

import pytest
from pydantic import ValidationError

from agentfleet.models import Result, TaskInfo, TaskOptions, TaskRequest
from agentfleet_coordinator import examples, schemas, views
from agentfleet_coordinator.requests import FIELDS, SubmitRequest, parse_submit
from agentfleet_core.errors import InvalidRequest
from agentfleet_core.queue.envelope import Envelope, TaskRecord, TaskState
from agentfleet_core.queue.task_view import task_json

ENVELOPE = Envelope(examples.TASK_ID, "acme", "refund-request", 50, "r1", "capable", "TierDefault", b"{}")


def names(kind: Any) -> set[str]:
    return {each.name for each in fields(kind)}


def test_everybody_names_the_fields_of_a_submit_alike() -> None:
    assert set(schemas.BatchItemIn.model_fields) == FIELDS
    assert set(schemas.TaskIn.model_fields) == FIELDS - {"idempotency_key"}  # that comes in a header
    assert names(SubmitRequest) - {"reject"} == FIELDS - {"mode"}
    assert names(TaskRequest) == FIELDS
    assert set(get_type_hints(TaskOptions)) == FIELDS - {"type", "input"}


GOOD: list[dict[str, Any]] = [
    {},
    {"input": {"order": "A-1"}, "pool": "batch", "tier": "fast", "mode": "reject"},
    {"priority": 0, "expires_after_seconds": 1, "idempotency_key": "a"},
    {"priority": 100, "expires_after_seconds": 2_592_000, "idempotency_key": "~" * 255},
    {"labels": {"a": "", "a/b_c.d-e": "x:/@-_.y"}, "mode": "defer"},
    {"labels": {f"k{n}": "v" for n in range(16)}},
    {"type": "a" * 63, "pool": None, "tier": None, "priority": None, "labels": None, "mode": None},
]
BAD: list[dict[str, Any]] = [
    {"type": None},
    {"type": ""},
    {"type": "Refund"},
    {"type": "a" * 64},
    {"type": "a\n"},
    {"input": []},
    {"input": None},
    {"pool": "No"},
    {"tier": "fast "},
    {"priority": -1},
    {"priority": 101},
    {"priority": 1.5},
    {"priority": True},
    {"labels": {f"k{n}": "v" for n in range(17)}},
    {"labels": {"-a": "v"}},
    {"labels": {"a": "v v"}},
    {"labels": {"a": 1}},
    {"labels": []},
    {"mode": "later"},
    {"expires_after_seconds": 0},
    {"expires_after_seconds": 2_592_001},
    {"idempotency_key": ""},
    {"idempotency_key": "a b"},
    {"idempotency_key": "~" * 256},
    {"colour": "red"},
]


@pytest.mark.parametrize("more", GOOD)
def test_what_the_document_promises_is_accepted(more: dict[str, Any]) -> None:
    payload = {"type": "refund-request"} | more
    schemas.BatchItemIn.model_validate(payload, strict=True)
    parse_submit(payload)


@pytest.mark.parametrize("more", BAD)
def test_what_is_refused_is_refused_by_the_document_too(more: dict[str, Any]) -> None:
    payload = {"type": "refund-request"} | more
    with pytest.raises(ValidationError):
        schemas.BatchItemIn.model_validate(payload, strict=True)
    with pytest.raises(InvalidRequest):
        parse_submit(payload)


def test_a_task_shows_what_the_document_and_the_sdk_say() -> None:
    shown = task_json(TaskRecord(ENVELOPE, 1_795_561_758_120))
    assert shown == examples.TASK | {"labels": {}, "submitted_at": shown["submitted_at"]}
    assert list(shown) == list(schemas.Task.model_fields)
    schemas.Task.model_validate_json(schemas.Task.model_validate(shown).model_dump_json())
    assert set(TaskInfo.fields_of(shown)) == names(TaskInfo)
    assert set(schemas.State.__args__) == set(TaskState)


def test_the_command_line_prints_what_the_service_said_also_what_it_does_not_know() -> None:
    said = examples.TASK | {"colour": "red"}
    assert TaskInfo(**TaskInfo.fields_of(said)).said == said
    result = views.result(TaskRecord(ENVELOPE, 1_795_561_758_120), {}) | {"colour": "red"}
    assert Result.parse(result).said == result
