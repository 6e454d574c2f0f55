"""The API's protocol with no client in it: the calls and their JSON, and how events are read. Does no I/O.

Every call here may be sent twice: a submit carries an idempotency key, the rest is idempotent by nature. That
is why `flows` may retry them.
"""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from agentfleet.models import TaskEvent, TaskFilter, TaskRequest
from agentfleet_core.errors import AgentfleetError, InvalidRequest
from agentfleet_core.problems import error_of
from agentfleet_core.resilience.retry_after import retry_after_seconds

BATCH = 1_000
"""Tasks in one request at most."""
WAIT_SECONDS = 20.0
"""How long one request for a result waits at the server."""


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str
    body: Any = None
    query: Mapping[str, str | int | float] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_seconds: float = 0.0
    """How long the server may hold the answer back, beside the client's time-out."""

    @property
    def content(self) -> bytes | None:
        if self.body is None:
            return None
        try:
            return json.dumps(self.body, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
        except (TypeError, ValueError) as error:  # UnicodeEncodeError is a ValueError
            raise InvalidRequest(f"this cannot be sent as JSON: {error}", field="input") from error


def submit(request: TaskRequest) -> Call:
    body = request.body()
    key = body.pop("idempotency_key", None) or new_key()
    return Call("POST", "/v1/tasks", body=body, headers={"idempotency-key": key})


def submit_batch(requests: Sequence[TaskRequest]) -> Call:
    """Each request carries its key already: a retry of the batch, or of some items, doubles nothing."""
    return Call("POST", "/v1/tasks/batch", body={"tasks": [request.body() for request in requests]})


def task(task_id: str, *, tail: str = "", method: str = "GET") -> Call:
    return Call(method, f"/v1/tasks/{quote(task_id, safe='')}{tail}")


def tasks(filters: TaskFilter, limit: int, cursor: str | None) -> Call:
    """What is no filter goes along: the server refuses it, and says what there is."""
    given: dict[str, Any] = {"limit": limit, "cursor": cursor, **filters}
    labels = given.pop("labels", None) or {}
    given["label"] = ",".join(f"{key}={value}" for key, value in labels.items()) or None
    return Call("GET", "/v1/tasks", query={name: text for name, text in given.items() if text is not None})


def result(task_id: str, wait_seconds: float) -> Call:
    path = f"/v1/tasks/{quote(task_id, safe='')}/result"
    return Call("GET", path, query={"wait_seconds": round(wait_seconds, 3)}, wait_seconds=wait_seconds)


def why(target: str) -> Call:
    """`target` is `pool/NAME` or `task/ID`."""
    kind, slash, name = target.partition("/")
    if not slash or kind not in ("pool", "task") or not name:
        raise InvalidRequest(f"{target!r} names nothing; use pool/NAME or task/ID", field="target")
    return Call("GET", f"/v1/{kind}s/{quote(name, safe='')}/why")


def switch(target: str, *, on: bool, allow_missing: bool = False) -> Call:
    body = {"target": target} | ({"allow_missing": True} if allow_missing else {})
    return Call("POST", "/v1/pause" if on else "/v1/resume", body=body)


def new_key() -> str:
    return uuid.uuid4().hex


def with_key(request: TaskRequest | Mapping[str, Any] | tuple[str, Mapping[str, Any]]) -> TaskRequest:
    """One item of a batch in any of its spellings, with an idempotency key."""
    match request:
        case TaskRequest():
            fields = {name: getattr(request, name) for name in TaskRequest.__slots__}
        case (str() as type_, input_):
            fields = {"type": type_, "input": input_}
        case Mapping():
            fields = dict(request)
        case _:
            raise InvalidRequest("a task is a TaskRequest, a mapping, or (type, input)")
    fields["idempotency_key"] = fields.get("idempotency_key") or new_key()
    try:
        return TaskRequest(**fields)
    except TypeError as error:
        raise InvalidRequest(f"a task has fields that the API does not know: {error}") from error


def failure(status: int, content: bytes, retry_after: str | None) -> AgentfleetError:
    """The error that an answer of 400 and above stands for."""
    try:
        problem = json.loads(content)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        text = content[:200].decode(errors="replace").strip()
        problem = {"detail": f"the server answered {status}: {text or 'nothing'}"}
    return error_of(problem, status=status, retry_after_seconds=retry_after_seconds(retry_after) or 1.0)


class EventParser:
    """Server-sent events, line by line; `last_id` is where to resume."""

    def __init__(self, after: str = "") -> None:
        self.last_id = after
        self._type = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, line: str) -> Iterator[TaskEvent]:
        if not line:
            yield from self._dispatch()
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
            case "id":
                self._id = value

    def _dispatch(self) -> Iterator[TaskEvent]:
        if self._id is not None:
            self.last_id = self._id
        if self._data:
            data = json.loads("\n".join(self._data))
            attempt = data.pop("attempt", 0)
            yield TaskEvent(id=self.last_id, type=self._type, attempt=attempt, data=data)
        self._type, self._data, self._id = "", [], None
