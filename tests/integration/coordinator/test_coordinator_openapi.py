"""The OpenAPI document, held against the running server: every operation can succeed, and nothing breaks it."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from tests.servers.coordinator import ACME_KEY, ADMIN_KEY, Coordinator, refund, running_coordinator

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.settings import FleetId

CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
OPEN = {"/healthz", "/readyz", "/metrics"}
ADMIN = {"/v1/fleet", "/v1/pools/{pool}/why", "/v1/pause", "/v1/resume"}
EXAMPLES = 12
"""Per operation; the seeds are fixed, so that a failure comes again."""


class Running:
    """The coordinator in a thread of its own: schemathesis is not asynchronous."""

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="coordinator")
        self.coordinator: Coordinator

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with running_coordinator(self._redis, FleetId("test", "openapi")) as self.coordinator:
            self._started.set()
            await self._stop.wait()

    def __enter__(self) -> "Running":
        self._thread.start()
        assert self._started.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def new_task(self, *, ended: bool) -> str:
        """The id of a real task, so that the operations on one have one."""
        return asyncio.run_coroutine_threadsafe(self._new_task(ended=ended), self._loop).result(10)

    async def _new_task(self, *, ended: bool) -> str:
        task = await self.coordinator.submitted()
        if ended:
            await self.coordinator.acme.post(f"/v1/tasks/{task['id']}/cancel")
        return str(task["id"])


@pytest.fixture(scope="module")
def running(redis: RedisServer) -> Iterator[Running]:
    with Running(redis) as found:
        yield found


@pytest.fixture(scope="module")
def schema(running: Running) -> Any:
    return schemathesis.openapi.from_url(f"{running.coordinator.url}/openapi.json")


def operations(schema: Any) -> list[Any]:
    return [found.ok() for found in schema.get_all_operations()]


def headers_for(path: str) -> dict[str, str]:
    key = "" if path in OPEN else ADMIN_KEY if path in ADMIN else ACME_KEY
    return {"authorization": f"Bearer {key}"} if key else {}


def test_every_operation_reaches_a_success(running: Running, schema: Any) -> None:
    seen = {}
    for operation in operations(schema):
        ended = operation.method.upper() == "DELETE" or operation.path.endswith(("/events", "/result"))
        path = {
            "task_id": running.new_task(ended=ended) if "{task_id}" in operation.path else "",
            "pool": "interactive",
        }
        body = {
            "/v1/tasks": refund(),
            "/v1/tasks/batch": {"tasks": [refund()]},
            "/v1/pause": {"target": "task-type/nothing"},
            "/v1/resume": {"target": "task-type/nothing"},
        }.get(operation.path)
        case = operation.Case(
            path_parameters=path, **({"body": body} if operation.method.upper() == "POST" and body else {})
        )
        answer = case.call_and_validate(headers=headers_for(operation.path), checks=CHECKS)
        seen[f"{operation.method.upper()} {operation.path}"] = answer.status_code

    assert len(seen) == 16
    assert {name: status for name, status in seen.items() if not 200 <= status < 300} == {}


def test_no_request_that_fits_or_misses_the_document_breaks_the_server(running: Running, schema: Any) -> None:
    tried = 0
    for operation in operations(schema):
        real = running.new_task(ended=True) if "{task_id}" in operation.path else ""
        for strategy in (
            operation.as_strategy(),
            operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
        ):

            @settings(
                max_examples=EXAMPLES,
                derandomize=True,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def attack(case: Any, operation: Any = operation, real: str = real) -> None:
                nonlocal tried
                tried += 1
                if real and tried % 2:
                    case.path_parameters["task_id"] = real
                case.call_and_validate(headers=headers_for(operation.path), checks=[not_a_server_error])

            _given(strategy)(attack)()

    assert tried > 100


def _given(strategy: Any) -> Any:
    from hypothesis import given

    return given(case=strategy)
