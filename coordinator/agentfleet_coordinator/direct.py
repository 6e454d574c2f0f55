"""Routes that are plain functions of a request, documented like any other: fast through the framework.

FastAPI's own handling (signature, dependencies, response model) costs more than the work of a submit. Here
the document is declared beside the function instead, and the function reads its request itself.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from agentfleet_coordinator.examples import TASK_ID

Endpoint = Callable[[Request], Awaitable[Response]]
PROBLEMS = {
    400: "The body is not JSON.",
    401: "No API key, or an unknown one.",
    402: "The tenant's budget is spent (mode=reject).",
    403: "The key may not do this.",
    404: "There is no such thing, or it is not yours.",
    409: "The state of the thing forbids it, or the idempotency key was used with another body.",
    413: "The body is too large.",
    422: "The request must change; `field` and `detail` say how.",
    429: "The pool's queue is full; come back after Retry-After.",
    503: "Redis is out of reach; come back after Retry-After.",
}


class DirectRoute(APIRoute):
    """Calls the endpoint with the request, and sends what it returns."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        return self.endpoint


def direct_router(noun: str) -> APIRouter:
    return APIRouter(tags=[noun], route_class=DirectRoute)


def direct(
    router: APIRouter,
    method: str,
    path: str,
    *,
    answers: dict[int, tuple[type[BaseModel] | None, str]],
    problems: Sequence[int] = (),
    body: type[BaseModel] | None = None,
    parameters: Sequence[dict[str, Any]] = (),
    media: dict[str, Any] | None = None,
    is_open: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Registers a route; its docstring's first line is the summary, the rest the description."""
    extra: dict[str, Any] = {
        "parameters": [*_path_parameters(path), *parameters],
        "security": [] if is_open else [{"apiKey": []}],
        **_body(body),
    }
    responses = _answers(answers, media or {}) | _problems(() if is_open else (401, *problems, 503))

    def register(endpoint: Endpoint) -> Endpoint:
        summary, _, description = (endpoint.__doc__ or "").partition("\n\n")
        router.add_api_route(
            path,
            endpoint,
            methods=[method],
            status_code=min(answers),
            response_class=Response,
            response_model=None,
            responses=responses,
            openapi_extra=extra,
            summary=summary.strip(),
            description=" ".join(description.split()),
            operation_id=endpoint.__name__,
        )
        return endpoint

    return register


def _body(model: type[BaseModel] | None) -> dict[str, Any]:
    if model is None:
        return {}
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _answers(
    answers: Mapping[int, tuple[type[BaseModel] | None, str]], media: Mapping[str, Any]
) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": text, **({"model": model} if model else {}), **media}
        for status, (model, text) in answers.items()
    }


def _problems(statuses: Sequence[int]) -> dict[int | str, dict[str, Any]]:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": PROBLEMS[status], "content": problem} for status in statuses}


def query(name: str, text: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def header(name: str, text: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": text, "schema": schema}


def reply(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_json(content), status, headers, media_type="application/json")


def _json(content: Any) -> bytes:
    try:
        return orjson.dumps(content)
    except TypeError:
        # orjson writes 254 levels. What a worker kept may have all of them, and stands inside the answer.
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _path_parameters(path: str) -> list[dict[str, Any]]:
    examples = {"task_id": TASK_ID, "pool": "interactive"}
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "example": example}
        for name, example in examples.items()
        if f"{{{name}}}" in path
    ]
