"""/v1/tasks/{id}/events: follow a task by server-sent events, resumable by Last-Event-ID."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson
from fastapi import Request, Response
from starlette.responses import StreamingResponse

from agentfleet_coordinator import views
from agentfleet_coordinator.direct import direct, direct_router, header
from agentfleet_coordinator.follows import BEGINNING
from agentfleet_coordinator.requests import shown
from agentfleet_coordinator.routes.caller import caller
from agentfleet_coordinator.services import Services
from agentfleet_core.errors import InvalidRequest, NotFound, Unavailable
from agentfleet_core.queue.envelope import Event, TaskRecord, TaskState
from agentfleet_core.telemetry import metrics

HEARTBEAT_SECONDS = 15.0
RETRY_MS = 1_000
MAX_FOLLOWERS = 10_000
BACK_IN_THE_QUEUE = frozenset({"retry", "handed_back"})
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""Nobody between us and the follower is to keep events back."""

_EVENT_ID = re.compile(r"[0-9]{1,15}")

router = direct_router("tasks")

EXAMPLE = (
    'id: 1\nevent: started\ndata: {"attempt":1}\n\n'
    'id: 2\nevent: ended\ndata: {"state":"succeeded","attempt":1}\n\n'
)


EVENT = {
    "type": "object",
    "description": "One event. `data` is JSON and carries the attempt.",
    "required": ["event", "data"],
    "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
}


@direct(
    router,
    "GET",
    "/v1/tasks/{task_id}/events",
    parameters=[header("Last-Event-ID", "Go on behind this event.", type="string")],
    problems=(404, 422),
    answers={
        200: (
            None,
            "Events until the task's `ended`; `reset`: drop the deltas of the `step` that it names, or all "
            "of the attempt before where it names none.",
        )
    },
    media={"content": {"text/event-stream": {"schema": EVENT, "example": EXAMPLE}}},
)
async def follow_task(request: Request) -> Response:
    """Follow a task: its steps and text as they come.

    A comment is sent every 15 seconds when nothing happens. After `ended` the stream closes; when it closes
    before, connect again with the last event's id.
    """
    services, principal = caller(request)
    after = _after(request.headers.get("last-event-id"))
    task_id = request.path_params["task_id"]
    record = await services.queues.read(task_id, principal)
    if services.follows.count >= MAX_FOLLOWERS:
        raise Unavailable(
            "too many clients follow tasks here; try again, or ask for the result with wait_seconds"
        )
    body = _stream(services, record, after)
    return StreamingResponse(body, media_type="text/event-stream", headers=HEADERS)


async def _stream(services: Services, record: TaskRecord, after: str) -> AsyncGenerator[bytes, None]:
    """A task that waits behind its tenant's block has no event of its own that says so: it is told here."""
    task_id = record.envelope.id
    queued = after == BEGINNING
    metrics.FOLLOWERS.inc()
    try:
        yield f"retry: {RETRY_MS}\n\n".encode()
        if queued and not record.attempt and record.state is TaskState.PARKED:
            queued = False
            yield views.event(_parked(record))
        events = services.follows.events(task_id, after, idle_seconds=HEARTBEAT_SECONDS)
        async with aclosing(events):
            async for event in events:
                if event is not None:
                    queued = event.type in BACK_IN_THE_QUEUE
                    yield views.event(event)
                    continue
                yield b": still here\n\n"
                if queued and (parked := await _found_parked(services, task_id)) is not None:
                    queued = False
                    yield views.event(_parked(parked))
    except (NotFound, Unavailable):
        return  # the client comes back behind its last event, and is then told what is wrong
    finally:
        metrics.FOLLOWERS.dec()


async def _found_parked(services: Services, task_id: str) -> TaskRecord | None:
    (record,) = await services.queues.read_many([task_id])
    return record if record is not None and record.state is TaskState.PARKED else None


def _parked(record: TaskRecord) -> Event:
    data = orjson.dumps({"not_before_ms": record.not_before_ms})
    return Event(record.envelope.id, record.attempt, "parked", data)


def _after(text: str | None) -> str:
    if not text:
        return BEGINNING
    if not _EVENT_ID.fullmatch(text):
        raise InvalidRequest(
            f"Last-Event-ID is {shown(text)}; send the id of an event", field="Last-Event-ID"
        )
    return text
