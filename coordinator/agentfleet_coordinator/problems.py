"""Errors as HTTP answers, in one place. What the table does not know is our defect: logged, told nobody."""

import logging
import math
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from agentfleet_coordinator.requests import MalformedJson
from agentfleet_core.errors import AgentfleetError, InvalidRequest, NotFound, Overloaded, Unavailable
from agentfleet_core.problems import (
    INTERNAL,
    MALFORMED,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    TOO_LARGE,
    ProblemType,
    problem_of,
    problem_type,
)

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 2
"""When Redis is out of reach."""


class TooLarge(InvalidRequest):
    """The body has more bytes than this route takes."""


def kind_of(error: BaseException) -> ProblemType:
    if isinstance(error, MalformedJson):
        return MALFORMED
    if isinstance(error, TooLarge):
        return TOO_LARGE
    return problem_type(error)


def problem_json(error: BaseException) -> dict[str, object]:
    return problem_of(error, kind=kind_of(error))


def batch_item(error: BaseException) -> dict[str, object]:
    """What `answer` says, of one item among others."""
    return {"status": _logged(error).status, "problem": problem_json(error)}


def _logged(error: BaseException) -> ProblemType:
    kind = kind_of(error)
    if kind is INTERNAL:
        log.error("a request failed by our own defect", exc_info=error)
    return kind


def answer(error: BaseException) -> Response:
    kind = _logged(error)
    headers = {}
    if isinstance(error, Overloaded):
        headers["retry-after"] = str(math.ceil(error.retry_after_seconds))
    elif isinstance(error, Unavailable):
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    elif kind.status == 401:
        headers["www-authenticate"] = "Bearer"
    return _response(problem_json(error), kind.status, headers)


def install(app: FastAPI) -> None:
    """Every error that leaves a route ends here."""

    async def ours(request: Request, error: Exception) -> Response:
        return answer(error)

    async def http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return answer(NotFound("path", request.url.path[:200], "see /openapi.json"))
        if error.status_code == 405:
            wrong = InvalidRequest(f"{request.method} does not exist for this path; see /openapi.json")
            body = problem_of(wrong, kind=METHOD_NOT_ALLOWED)
            return _response(body, 405, dict(error.headers or {}))
        wrong = InvalidRequest(str(error.detail))
        return _response(
            problem_of(wrong, kind=MALFORMED) | {"status": error.status_code}, error.status_code, {}
        )

    async def parameters(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        return answer(InvalidRequest(f"{field}: {first['msg']}", field=field))

    app.add_exception_handler(AgentfleetError, ours)
    app.add_exception_handler(HTTPException, http)  # type: ignore[arg-type]  # handlers are contravariant
    app.add_exception_handler(RequestValidationError, parameters)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, ours)


def _response(body: dict[str, Any], status: int, headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type=MEDIA_TYPE)
