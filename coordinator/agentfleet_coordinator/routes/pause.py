"""/v1/pause and /v1/resume: the switches; for admin keys."""

from fastapi import Request, Response

from agentfleet_coordinator import schemas
from agentfleet_coordinator.direct import direct, direct_router, reply
from agentfleet_coordinator.edge import read_body
from agentfleet_coordinator.requests import MAX_BODY_BYTES, parse_json, parse_target
from agentfleet_coordinator.routes.caller import admin_caller
from agentfleet_core.errors import InvalidInput, InvalidRequest
from agentfleet_core.fleet.pauses import Target
from agentfleet_core.fleet.store import set_pause

router = direct_router("fleet")
PROBLEMS = (400, 403, 404, 413, 422)


@direct(
    router,
    "POST",
    "/v1/pause",
    body=schemas.Target,
    problems=PROBLEMS,
    answers={200: (schemas.Switched, "It is paused.")},
)
async def pause(request: Request) -> Response:
    """Pause the fleet, a pool, a tenant or a task type.

    No new paid call is made within a second. Tasks are still accepted; they wait. What does not exist is a
    404, so that a slip of the pen never looks like a pause; `allow_missing` pauses what is yet to come.
    """
    return await _switch(request, on=True)


@direct(
    router,
    "POST",
    "/v1/resume",
    body=schemas.Target,
    problems=PROBLEMS,
    answers={200: (schemas.Switched, "It goes on.")},
)
async def resume(request: Request) -> Response:
    """Undo a pause.

    What a manifest pauses (`spec.paused`) stays so.
    """
    return await _switch(request, on=False)


async def _switch(request: Request, *, on: bool) -> Response:
    services, _ = admin_caller(request)
    text, allow_missing = parse_target(parse_json(await read_body(request, MAX_BODY_BYTES)))
    try:
        target = Target.parse(text)
    except InvalidInput as error:
        raise InvalidRequest(str(error), field="target") from error
    pauses = services.follower.pauses
    if not allow_missing and text not in pauses.switches:
        target.require_in(pauses.config)
    changed = await set_pause(services.redis, services.keys, text, on, "api")
    other = pauses.without(target)
    return reply(
        {
            "target": text,
            "paused": on or other is not None,
            "changed": changed,
            "also_paused": None if other is None else other.sentence,
        }
    )
