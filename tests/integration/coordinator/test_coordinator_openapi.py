"""The OpenAPI document, held against the running server: every operation can succeed, nothing breaks it."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from tests.servers.coordinator import ACME_KEY, ADMIN_KEY, CoordinatorThread, refund

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.settings import FleetId

CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
OPEN = {"/healthz", "/readyz", "/metrics"}
ADMIN = {"/v1/fleet", "/v1/pools/{pool}/why", "/v1/pause", "/v1/resume"}
EXAMPLES = 25
"""Per operation; the seeds are fixed, so that a failure comes again."""


def new_task(running: CoordinatorThread, *, ended: bool) -> str:
    """The id of a real task, so that the operations on one have one."""
    task = running.call(running.coordinator.submitted())
    if ended:
        running.call(running.coordinator.acme.post(f"/v1/tasks/{task['id']}/cancel"))
    return str(task["id"])


@pytest.fixture(scope="module")
def running(redis: RedisServer) -> Iterator[CoordinatorThread]:
    with CoordinatorThread(redis, FleetId("test", "openapi")) as found:
        yield found


@pytest.fixture(scope="module")
def schema(running: CoordinatorThread) -> Any:
    return schemathesis.openapi.from_url(f"{running.coordinator.url}/openapi.json")


def operations(schema: Any) -> list[Any]:
    return [found.ok() for found in schema.get_all_operations()]


def headers_for(path: str) -> dict[str, str]:
    key = "" if path in OPEN else ADMIN_KEY if path in ADMIN else ACME_KEY
    return {"authorization": f"Bearer {key}"} if key else {}


def test_every_operation_reaches_a_success(running: CoordinatorThread, schema: Any) -> None:
    seen = {}
    for operation in operations(schema):
        ended = operation.method.upper() == "DELETE" or operation.path.endswith(("/events", "/result"))
        path = {
            "task_id": new_task(running, ended=ended) if "{task_id}" in operation.path else "",
            "pool": "interactive",
        }
        body = {
            "/v1/tasks": refund(),
            "/v1/tasks/batch": {"tasks": [refund()]},
            "/v1/pause": {"target": "task-type/anything"},
            "/v1/resume": {"target": "task-type/anything"},
        }.get(operation.path)
        case = operation.Case(
            path_parameters=path, **({"body": body} if operation.method.upper() == "POST" and body else {})
        )
        answer = case.call_and_validate(headers=headers_for(operation.path), checks=CHECKS)
        assert_shown(schema.raw_schema, operation, answer)
        seen[f"{operation.method.upper()} {operation.path}"] = answer.status_code

    assert len(seen) == 16
    assert {name: status for name, status in seen.items() if not 200 <= status < 300} == {}


def assert_shown(document: Any, operation: Any, answer: Any) -> None:
    """The description shows an example of this answer, with the fields that it has."""
    kind, _, _ = str(answer.headers.get("content-type", [""])[0]).partition(";")
    if kind != "application/json":
        return
    declared = document["paths"][operation.path][operation.method]["responses"][str(answer.status_code)]
    name = declared["content"][kind]["schema"]["$ref"].rpartition("/")[2]
    (example, *_) = document["components"]["schemas"][name]["examples"]
    assert set(answer.json()) <= set(example), operation.path


def test_no_request_that_fits_or_misses_the_document_breaks_the_server(
    running: CoordinatorThread, schema: Any
) -> None:
    tried: Counter[str] = Counter()
    for operation in operations(schema):
        for mode in GenerationMode:
            _attack(running, operation, mode, tried)

    assert set(tried) == {operation.path for operation in operations(schema)}


def _attack(running: CoordinatorThread, operation: Any, mode: GenerationMode, tried: Counter[str]) -> None:
    real = new_task(running, ended=True) if "{task_id}" in operation.path else ""

    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def attack(case: Any) -> None:
        tried[operation.path] += 1
        if real and tried[operation.path] % 2:
            case.path_parameters["task_id"] = real
        case.call_and_validate(headers=headers_for(operation.path), checks=[not_a_server_error])

    with contextlib.suppress(Unsatisfiable):  # nothing misses a document that allows everything
        attack()
