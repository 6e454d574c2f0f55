"""/v1/tasks: submit, read, list, cancel, delete, results, and why."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response

from agentfleet_coordinator import schemas, views
from agentfleet_coordinator.batch_frame import read_batch
from agentfleet_coordinator.catalog import Catalog, Principal
from agentfleet_coordinator.direct import direct, direct_router, header, query, reply
from agentfleet_coordinator.edge import read_body
from agentfleet_coordinator.follows import BEGINNING
from agentfleet_coordinator.index import Filter
from agentfleet_coordinator.intake import Admitted
from agentfleet_coordinator.problems import batch_item
from agentfleet_coordinator.requests import (
    KEY_PATTERN,
    MAX_BATCH_BODY_BYTES,
    MAX_BODY_BYTES,
    only_known,
    parse_json,
    read_labels,
    read_number,
)
from agentfleet_coordinator.routes.caller import caller, tenant_caller
from agentfleet_coordinator.services import Services
from agentfleet_coordinator.submit import Submission, answers, place, place_all, prepare
from agentfleet_coordinator.why import Ahead, NoRoom, explain_task
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.errors import Conflict, InvalidRequest
from agentfleet_core.keyspace.connect import redis_time
from agentfleet_core.queue.envelope import Envelope, TaskRecord, TaskState
from agentfleet_core.queue.reasons import TaskReason
from agentfleet_core.queue.task_view import Json, task_json

MAX_LIMIT = 500
MAX_WAIT_SECONDS = 60.0
PART = 200
"""Tasks of a batch that are read in one go."""
STATES = ", ".join(TaskState)

router = direct_router("tasks")

KEY = header(
    "Idempotency-Key",
    "The same key with the same body is the same task for 20 hours; with another body it is a 409.",
    type="string",
    pattern=f"^{KEY_PATTERN}$",
)
FILTERS = (
    query("state", "Only tasks in this state.", type="string", enum=[*TaskState]),
    query("type", "Only tasks of this TaskType.", type="string"),
    query("pool", "Only tasks of this pool.", type="string"),
    query("label", "Only tasks with this label, `key=value`; several by comma, all must fit.", type="string"),
    query("tenant", "Whose tasks; needed with an admin key, fixed with a tenant's.", type="string"),
    query("limit", "Tasks on a page.", type="integer", minimum=1, maximum=MAX_LIMIT, default=50),
    query("cursor", "`next_cursor` of the page before.", type="string"),
)
FILTER_NAMES = tuple(str(parameter["name"]) for parameter in FILTERS)
WAIT = query(
    "wait_seconds",
    "Hold the answer back until the task has ended, at most this long.",
    type="number",
    minimum=0,
    maximum=MAX_WAIT_SECONDS,
    default=0,
)


@direct(
    router,
    "POST",
    "/v1/tasks",
    body=schemas.TaskIn,
    parameters=[KEY],
    problems=(400, 402, 403, 409, 413, 422, 429),
    answers={201: (schemas.Task, "Admitted."), 200: (schemas.Task, "The same submission came before.")},
)
async def submit_task(request: Request) -> Response:
    """Submit a task.

    Answered once the task is in its pool's queue; from then on it is never lost.
    """
    services, principal = tenant_caller(request)
    payload = parse_json(await read_body(request, MAX_BODY_BYTES))
    catalog = services.catalog
    key = request.headers.get("idempotency-key")
    submission = prepare(services, catalog, principal.tenant, payload, key)
    admitted = await place(services, catalog, submission)
    (told,) = await answers(services, [admitted])
    if isinstance(told, Exception):
        raise told
    status, task = told
    return reply(task, status, {"location": f"/v1/tasks/{task['id']}"})


@direct(
    router,
    "POST",
    "/v1/tasks/batch",
    body=schemas.BatchIn,
    problems=(400, 403, 413, 422),
    answers={200: (schemas.Batch, "An answer per item, in order.")},
)
async def submit_batch(request: Request) -> Response:
    """Submit up to 1,000 tasks.

    Each item stands alone: it has its own status, and a task or a problem. Items carry their own keys.
    """
    services, principal = tenant_caller(request)
    payloads = read_batch(await read_body(request, MAX_BATCH_BODY_BYTES))
    return reply({"items": await _answer_all(services, principal, payloads)})


async def _answer_all(services: Services, principal: Principal, payloads: Sequence[Any]) -> list[Json]:
    """In parts: other requests get their turn between them, and Redis works on one while the next is read."""
    catalog = services.catalog
    parts = []
    for start in range(0, len(payloads), PART):
        part = payloads[start : start + PART]
        parts.append(asyncio.ensure_future(_answer_part(services, catalog, principal.tenant, part)))
        await asyncio.sleep(0)
    return [item for part in await asyncio.gather(*parts) for item in part]


async def _answer_part(
    services: Services, catalog: Catalog, tenant: str, payloads: Sequence[Any]
) -> list[Json]:
    items: list[Json] = [{}] * len(payloads)
    places: list[int] = []
    submissions: list[Submission] = []
    for index, payload in enumerate(payloads):
        try:
            submissions.append(prepare(services, catalog, tenant, payload, None))
            places.append(index)
        except Exception as error:  # noqa: BLE001  # an item's edge: others of the batch are admitted already
            items[index] = batch_item(error)
    outcomes = dict(zip(places, await place_all(services, catalog, submissions), strict=True))
    admitted = {index: each for index, each in outcomes.items() if isinstance(each, Admitted)}
    told = await answers(services, list(admitted.values()))
    for index, outcome in outcomes.items():
        if isinstance(outcome, Exception):
            items[index] = batch_item(outcome)
    for index, answer in zip(admitted, told, strict=True):
        if isinstance(answer, Exception):
            items[index] = batch_item(answer)
        else:
            items[index] = {"status": answer[0], "task": answer[1]}
    return items


@direct(
    router,
    "GET",
    "/v1/tasks",
    parameters=FILTERS,
    problems=(403, 422),
    answers={200: (schemas.TaskList, "A page, newest first; it may be short and still not the last.")},
)
async def list_tasks(request: Request) -> Response:
    """List tasks, newest first."""
    services, principal = caller(request)
    given = request.query_params
    only_known(given.keys(), FILTER_NAMES)
    wanted = Filter(
        _state(given.get("state")), given.get("type"), given.get("pool"), read_labels(given.getlist("label"))
    )
    limit = int(read_number("limit", given.get("limit"), 1, MAX_LIMIT, 50))
    tenant = _whose(principal, given.get("tenant"))
    page = await services.index.page(tenant, wanted, limit, given.get("cursor"))
    return reply({"items": [task_json(record) for record in page.records], "next_cursor": page.next_cursor})


@direct(router, "GET", "/v1/tasks/{task_id}", problems=(404,), answers={200: (schemas.Task, "The task.")})
async def get_task(request: Request) -> Response:
    """Read a task."""
    services, principal = caller(request)
    return reply(task_json(await services.queues.read(request.path_params["task_id"], principal)))


@direct(
    router,
    "DELETE",
    "/v1/tasks/{task_id}",
    problems=(404, 409),
    answers={204: (None, "Its input, output, journal and events are erased.")},
)
async def delete_task(request: Request) -> Response:
    """Erase an ended task's content.

    What it cost, and that it was, stays.
    """
    services, principal = caller(request)
    task_id = request.path_params["task_id"]
    record = await services.queues.read(task_id, principal)
    if not record.deleted and not await services.queues.of(task_id).delete(task_id):
        raise Conflict(f"task {task_id} is {record.state.value}; cancel it first, or wait for its end")
    return Response(status_code=204)


@direct(
    router,
    "POST",
    "/v1/tasks/{task_id}/cancel",
    problems=(404, 409),
    answers={200: (schemas.Task, "Cancelled.")},
)
async def cancel_task(request: Request) -> Response:
    """Cancel a task.

    A queued one ends at once; a running one is fenced off at once and stops at its next step.
    """
    services, principal = caller(request)
    task_id = request.path_params["task_id"]
    await services.queues.read(task_id, principal)
    await services.queues.of(task_id).cancel(task_id, TaskReason.CANCELLED_BY_REQUEST)
    record = await services.queues.read(task_id, principal)
    if record.state is not TaskState.CANCELLED:
        raise Conflict(f"task {task_id} has ended {record.state.value}; it can no longer be cancelled")
    return reply(task_json(record))


@direct(
    router,
    "GET",
    "/v1/tasks/{task_id}/result",
    parameters=[WAIT],
    problems=(404, 422),
    answers={200: (schemas.Result, "Its output so far known; `state` says whether it has ended.")},
)
async def get_result(request: Request) -> Response:
    """Read a task's result, waiting for it if asked."""
    services, principal = caller(request)
    wait_seconds = read_number(
        "wait_seconds", request.query_params.get("wait_seconds"), 0, MAX_WAIT_SECONDS, 0
    )
    task_id = request.path_params["task_id"]
    record = await services.queues.read(task_id, principal)
    if wait_seconds and not record.state.ended:
        await _until_ended(services, task_id, wait_seconds)
        record = await services.queues.read(task_id, principal)
    return reply(views.result(record, await services.queues.of(task_id).steps(task_id)))


async def _until_ended(services: Services, task_id: str, wait_seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with (
            asyncio.timeout(wait_seconds),
            contextlib.aclosing(
                services.follows.events(task_id, BEGINNING, idle_seconds=wait_seconds)
            ) as events,
        ):
            async for event in events:
                if event is not None and event.type == "ended":
                    return


@direct(
    router,
    "GET",
    "/v1/tasks/{task_id}/why",
    problems=(404,),
    answers={200: (schemas.TaskWhy, "Route, parking, attempts, costs.")},
)
async def explain_task_state(request: Request) -> Response:
    """Why a task is where it is."""
    services, principal = caller(request)
    task_id = request.path_params["task_id"]
    record = await services.queues.read(task_id, principal)
    journal = await services.queues.of(task_id).steps(task_id)
    envelope = record.envelope
    paused = services.follower.paused(pool=envelope.pool, tenant=envelope.tenant, task_type=envelope.type)
    ahead = await _ahead(services, envelope) if record.state is TaskState.QUEUED else None
    no_room = await _no_room(services, record) if record.state is TaskState.RUNNING else None
    return reply(explain_task(record, journal, paused, ahead, no_room))


async def _ahead(services: Services, envelope: Envelope) -> Ahead:
    queue = services.queues.pool(envelope.pool)
    of_tenant, of_type = await queue.running_of(envelope.tenant, envelope.type)
    return Ahead(
        config=services.follower.config,
        counters=await queue.counters(),
        of_tenant=of_tenant,
        of_type=of_type,
        plan=await services.plan_of(envelope.pool),
    )


async def _no_room(services: Services, record: TaskRecord) -> NoRoom | None:
    """None: no call of the task's newest attempt waits for open holds."""
    envelope = record.envelope
    tenant = services.follower.config.tenants.get(envelope.tenant)
    calls = f"{envelope.id}/{record.attempt}/"
    waits = await services.ledger.waits(envelope.tenant)
    waiting = next((one for one in waits if one.hold_id.startswith(calls)), None)
    if tenant is None or waiting is None:
        return None
    windows = all_windows(tenant.spec, await redis_time(services.redis))
    balances = await services.ledger.balances(envelope.tenant, windows)
    balance = next((one for one in balances if one.limit.name == waiting.limit), None)
    return None if balance is None else NoRoom(waiting, balance)


def _state(text: str | None) -> TaskState | None:
    try:
        return None if text is None else TaskState(text)
    except ValueError as error:
        raise InvalidRequest(f"state is none of {STATES}", field="state") from error


def _whose(principal: Principal, tenant: str | None) -> str:
    if not principal.admin:
        return principal.tenant
    if not tenant:
        raise InvalidRequest("an admin key lists one tenant's tasks: add tenant=NAME", field="tenant")
    return tenant
