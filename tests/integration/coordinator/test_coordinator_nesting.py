"""JSON nested as deep as its sender likes: refused in words, alone, and never a 500."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.servers.coordinator import Coordinator, running_coordinator

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_coordinator.requests import MAX_DEPTH
from agentfleet_core.queue.envelope import JournalEntry, SettleKind, Settlement, TaskState
from agentfleet_core.queue.step import StepKind, StepRecord
from agentfleet_core.settings import FleetId

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}
LONG_INTEGER = "1234567890123456789"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def coordinator(redis: RedisServer) -> AsyncIterator[Coordinator]:
    async with running_coordinator(redis, FleetId("test", "nesting")) as running:
        yield running


def nested(depth: int, leaf: str = "1") -> str:
    return "[" * depth + leaf + "]" * depth


def deep_input(depth: int, leaf: str = "1") -> str:
    """`depth` levels from the task's own object down."""
    return f'{{"type":"anything","input":{{"a":{nested(depth - 2, leaf)}}}}}'


TOO_DEEP = {
    "an input just too deep": (deep_input(MAX_DEPTH + 1), "input"),
    "an input past what can be written": (deep_input(300), "input"),
    "an input as deep as can be read": (deep_input(1_000), "input"),
    "a long integer far down": (deep_input(1_000, LONG_INTEGER), "input"),
    "an input that is a list": (f'{{"type":"anything","input":{nested(1_000)}}}', "input"),
    "a priority": (f'{{"type":"anything","priority":{nested(1_000)}}}', "priority"),
    "a label": (f'{{"type":"anything","labels":{{"a":{nested(1_000)}}}}}', "labels"),
    "a mode": (f'{{"type":"anything","mode":{nested(1_000)}}}', "mode"),
    "a type": (f'{{"type":{nested(1_000)}}}', "type"),
    "a key": (f'{{"type":"anything","idempotency_key":{nested(1_000)}}}', "idempotency_key"),
    "a field that does not exist": (f'{{"type":"anything","x":{nested(1_000)}}}', "x"),
}


@pytest.mark.parametrize("name", TOO_DEEP)
async def test_what_is_nested_too_deep_is_refused_with_its_field(coordinator: Coordinator, name: str) -> None:
    body, field = TOO_DEEP[name]
    single = await coordinator.acme.post("/v1/tasks", content=body, headers=JSON)
    batch = await coordinator.acme.post("/v1/tasks/batch", content=f'{{"tasks":[{body}]}}', headers=JSON)
    assert (single.status_code, batch.status_code) == (422, 200), (single.text[:300], batch.text[:300])
    (item,) = batch.json()["items"]
    assert item == {"status": 422, "problem": single.json()}
    assert single.json()["field"] == field
    assert f"deeper than {MAX_DEPTH} levels" in single.json()["detail"]


async def test_the_deepest_that_is_taken_is_taken_whole(coordinator: Coordinator) -> None:
    body = deep_input(MAX_DEPTH, LONG_INTEGER)
    answer = await coordinator.acme.post(
        "/v1/tasks", content=body, headers={**JSON, "idempotency-key": "deepest"}
    )
    assert answer.status_code == 201, answer.text
    record = await coordinator.services.queues.of(answer.json()["id"]).get([answer.json()["id"]])
    assert record[0] is not None
    assert json.loads(record[0].envelope.input) == json.loads(body)["input"]


async def test_a_body_that_is_no_task_may_be_deep_too(coordinator: Coordinator) -> None:
    for path in ("/v1/tasks", "/v1/tasks/batch"):
        answer = await coordinator.acme.post(path, content=nested(1_000, LONG_INTEGER), headers=JSON)
        assert answer.status_code == 422
    answer = await coordinator.admin.post(
        "/v1/pause", content=f'{{"target":{nested(1_000, LONG_INTEGER)}}}', headers=JSON
    )
    assert answer.status_code == 422


async def test_an_integer_that_does_not_fit_is_found_however_deep_and_not_inside_strings(
    coordinator: Coordinator,
) -> None:
    digits = "9" * 30
    answer = await coordinator.acme.post("/v1/tasks", content=deep_input(500, digits), headers=JSON)
    assert answer.status_code == 400
    assert "send it as a string" in answer.json()["detail"]
    text = json.dumps({"a": f'"{digits}\\', "b": [1e30, 2**64 - 1, -(2**63)], digits: "\\"})
    answer = await coordinator.acme.post(
        "/v1/tasks", content=f'{{"type":"anything","input":{text}}}', headers=JSON
    )
    assert answer.status_code == 201, answer.text


async def test_a_bad_item_of_a_batch_refuses_only_itself(coordinator: Coordinator) -> None:
    """The bad one stands in a later part than the first good ones, which are under way by then."""
    good = '{"type":"anything","input":{}}'
    items = [good] * 401
    items[400] = deep_input(300)
    answer = await coordinator.acme.post(
        "/v1/tasks/batch", content=f'{{"tasks":[{",".join(items)}]}}', headers=JSON
    )
    assert answer.status_code == 200
    told = answer.json()["items"]
    assert [item["status"] for item in told] == [201] * 400 + [422]


async def test_a_result_nested_as_deep_as_a_worker_may_write_is_shown(coordinator: Coordinator) -> None:
    """The answer wraps what was kept, which may be as deep as can be written."""
    value: Any = 1
    for _ in range(250):
        value = [value]
    answer = await coordinator.acme.post("/v1/tasks", json={"type": "anything", "input": {}})
    queue = coordinator.services.queues.of(answer.json()["id"])
    claims = await queue.claim("nested-worker", 1_000, lease_ms=60_000)
    (claim,) = [each for each in claims if each.envelope.id == answer.json()["id"]]
    record = StepRecord(StepKind.STEP, "deep", value, 1, 2).encode()
    assert await queue.journal([JournalEntry(claim.envelope.id, claim.attempt, "deep", record, 0)]) == [True]
    output = (b"[" * 254) + b"1" + (b"]" * 254)
    await queue.settle(
        [
            Settlement(
                claim.envelope.id, claim.attempt, SettleKind.END, state=TaskState.SUCCEEDED, output=output
            )
        ]
    )
    shown = await coordinator.acme.get(f"/v1/tasks/{claim.envelope.id}/result")
    assert shown.status_code == 200, shown.text
    assert shown.json()["steps"][0]["result"] == value
    assert json.dumps(shown.json()["output"]).replace(" ", "").encode() == output
