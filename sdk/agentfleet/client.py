"""The blocking client.

with Client() as fleet:
    task = fleet.submit("refund-request", {"order": "A-1001"})
    print(task.result(timeout=60).output)
"""

import os
import random
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar, Unpack

import httpx

from agentfleet import flows, wire
from agentfleet.models import (
    Page,
    Result,
    Submission,
    TaskEvent,
    TaskFilter,
    TaskInfo,
    TaskOptions,
    TaskRequest,
)
from agentfleet.running import running_fleet
from agentfleet_core.errors import AgentfleetError, Overloaded, Unauthorized, Unavailable

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_SECONDS = 30.0
RETRIES = 6
T = TypeVar("T")


def connection(url: str | None, api_key: str | None) -> dict[str, Any]:
    """Arguments of an httpx client: as given, else the environment's, else a running `agentfleet dev`'s."""
    address = url or os.environ.get("AGENTFLEET_URL")
    key = api_key or os.environ.get("AGENTFLEET_API_KEY")
    running = running_fleet() if not (address and key) else None
    if running is not None and address in (None, running.url):
        address = running.url
        key = key or running.default_key
    address = address or DEFAULT_URL
    if not key:
        raise Unauthorized("there is no API key: set AGENTFLEET_API_KEY, or pass api_key=")
    if not key.isascii() or not key.isprintable():
        raise Unauthorized("the API key holds characters that no header can carry; check AGENTFLEET_API_KEY")
    return {
        "base_url": address,
        "headers": {"authorization": f"Bearer {key}", "content-type": "application/json"},
        "timeout": TIMEOUT_SECONDS,
        # A proxy of the environment cannot reach this machine's own loopback.
        "trust_env": httpx.URL(address).host not in ("127.0.0.1", "localhost", "::1"),
    }


def request_arguments(call: wire.Call) -> dict[str, Any]:
    return {
        "method": call.method,
        "url": call.path,
        "content": call.content,
        "params": dict(call.query),
        "headers": dict(call.headers),
        "timeout": TIMEOUT_SECONDS + call.wait_seconds,
    }


def stream_arguments(task_id: str, parser: wire.EventParser) -> dict[str, Any]:
    headers = {"accept": "text/event-stream"}
    if parser.last_id:
        headers["last-event-id"] = parser.last_id
    return {"url": wire.task(task_id, tail="/events").path, "headers": headers, "timeout": TIMEOUT_SECONDS}


def answer_of(response: httpx.Response) -> flows.Answer:
    return flows.Answer(
        time.monotonic(), response.status_code, response.content, response.headers.get("retry-after")
    )


def failure_of(response: httpx.Response) -> AgentfleetError:
    return wire.failure(response.status_code, response.content, response.headers.get("retry-after"))


@dataclass(frozen=True, eq=False)
class Task(TaskInfo):
    """A task and the client that knows it."""

    client: "Client" = field(repr=False, compare=False)

    def refresh(self) -> "Task":
        return self.client.get(self.id)

    def result(self, timeout: float | None = None, *, check: bool = True) -> Result:
        return self.client.result(self.id, timeout, check=check)

    def follow(self, after: str = "") -> Iterator[TaskEvent]:
        return self.client.follow(self.id, after)

    def cancel(self) -> "Task":
        return self.client.cancel(self.id)

    def delete(self) -> None:
        self.client.delete(self.id)


Submissions = list[Submission[Task]]
Views = list[dict[str, Any]]


class Client:
    """Talks to one fleet's coordinator: arguments, AGENTFLEET_URL and AGENTFLEET_API_KEY, or a running dev.

    Raises errors that `agentfleet` exports, all of them `AgentfleetError`s. Connection errors, 429 and 503
    are retried up to `retries` times; a submit that is retried is still one task.
    """

    def __init__(self, url: str | None = None, api_key: str | None = None, *, retries: int = RETRIES,
                 transport: httpx.BaseTransport | None = None) -> None:  # fmt: skip
        self._http = httpx.Client(**connection(url, api_key), transport=transport)
        self._retries = retries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def submit(
        self, type: str, input: Mapping[str, Any] | None = None, **options: Unpack[TaskOptions]
    ) -> Task:
        """Admit one task. `options`: pool, tier, priority, labels, mode, expires_after_seconds and
        idempotency_key, as in `TaskRequest`.

        The same idempotency key with the same body is the same task, for 20 hours.
        """
        request = TaskRequest(type, input or {}, **options)
        return self._task(self._ask(wire.submit(request)))

    def submit_many(
        self, tasks: Iterable[TaskRequest | Mapping[str, Any] | tuple[str, Mapping[str, Any]]]
    ) -> Submissions:
        """Admit any number, 1,000 to a request; an answer per item, in order.

        Items that the server is too busy for are sent again, up to `retries` times.
        """
        answers = self._run(flows.submit_many([wire.with_key(task) for task in tasks], self._retries))
        return [
            Submission(None, answer)
            if isinstance(answer, AgentfleetError)
            else Submission(self._task(answer))
            for answer in answers
        ]

    def get(self, task_id: str) -> Task:
        return self._task(self._ask(wire.task(task_id)))

    def list(
        self, *, limit: int = 50, cursor: str | None = None, **filters: Unpack[TaskFilter]
    ) -> Page[Task]:
        """Newest first. A page may hold fewer than `limit` and still not be the last: `next_cursor` says."""
        data = self._ask(wire.tasks(filters, limit, cursor))
        return Page(tuple(self._task(item) for item in data["items"]), data["next_cursor"])

    def result(self, task_id: str, timeout: float | None = None, *, check: bool = True) -> Result:
        """Wait for the end, at most `timeout` seconds (None: as long as it takes).

        Raises `TaskFailed` when the task ended failed, dead or cancelled and `check` is true,
        `DeadlineExceeded` when the time is up; the task itself runs on then.
        """
        return self._run(flows.result(task_id, timeout, check, self._retries))

    def follow(self, task_id: str, after: str = "") -> Iterator[TaskEvent]:
        """The task's events from its first (or behind the id `after`) to its end; resumes by itself."""
        parser = wire.EventParser(after)
        failures = 0
        while True:
            try:
                with self._http.stream("GET", **stream_arguments(task_id, parser)) as answer:
                    if answer.status_code >= 400:
                        answer.read()
                        raise failure_of(answer)
                    for line in answer.iter_lines():
                        for event in parser.feed(line):
                            failures = 0
                            yield event
                            if event.type == "ended":
                                return
            except (httpx.TransportError, Unavailable, Overloaded) as error:
                failures += 1
                if failures > self._retries:
                    raise error if isinstance(error, AgentfleetError) else flows.unreachable(error) from error
            self._do(flows.pause_before(failures))

    def cancel(self, task_id: str) -> Task:
        return self._task(self._ask(wire.task(task_id, tail="/cancel", method="POST")))

    def delete(self, task_id: str) -> None:
        """Erase an ended task's content; its cost stays."""
        self._ask(wire.task(task_id, method="DELETE"))

    def why(self, target: str) -> dict[str, Any]:
        """Why `pool/NAME` has its size, or `task/ID` is where it is; `text` is for people."""
        return self._ask(wire.why(target))

    def fleet(self) -> dict[str, Any]:
        """Pools, tenants, switches and scale events; needs an admin key."""
        return self._ask(wire.Call("GET", "/v1/fleet"))

    def pools(self) -> Views:
        pools: Views = self.fleet()["pools"]
        return pools

    def pause(self, target: str, *, allow_missing: bool = False) -> dict[str, Any]:
        """No new paid call of `fleet`, `pool/NAME`, `tenant/NAME` or `task-type/NAME` within a second; needs
        an admin key. Raises `NotFound` for what does not exist, unless `allow_missing`.
        """
        return self._ask(wire.switch(target, on=True, allow_missing=allow_missing))

    def resume(self, target: str) -> dict[str, Any]:
        return self._ask(wire.switch(target, on=False))

    def _ask(self, call: wire.Call) -> dict[str, Any]:
        return self._run(flows.ask(call, self._retries))

    def _run(self, flow: Generator[wire.Call | flows.Pause, flows.Answer, T]) -> T:
        try:
            step = next(flow)
            while True:
                step = flow.send(self._do(step))
        except StopIteration as end:
            value: T = end.value
            return value

    def _do(self, step: wire.Call | flows.Pause) -> flows.Answer:
        if isinstance(step, flows.Pause):
            time.sleep(step.at_least_seconds + random.random() * step.jitter_seconds)
            return flows.Answer(time.monotonic())
        try:
            answer = self._http.request(**request_arguments(step))
        except httpx.TransportError as error:
            return flows.Answer(time.monotonic(), error=error)
        return answer_of(answer)

    def _task(self, data: Mapping[str, Any]) -> Task:
        return Task(**TaskInfo.fields_of(data), client=self)
