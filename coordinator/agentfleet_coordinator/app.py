"""The coordinator's app: routes, errors and OpenAPI put together."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

from agentfleet_coordinator import problems
from agentfleet_coordinator.edge import Metered, ShortCut
from agentfleet_coordinator.examples import ANSWERS
from agentfleet_coordinator.routes import events, fleet, health, pause, tasks
from agentfleet_coordinator.schemas import BatchItemIn, Problem
from agentfleet_coordinator.services import Services

NOUNS = (tasks, events, fleet, pause, health)
DESCRIPTION = """Submit tasks to a fleet of LLM agents, follow them, and see why things are as they are.

Errors are `application/problem+json` (RFC 9457): `detail` says what to change, `field` where."""


def create_app(services: Services) -> FastAPI:
    """Whoever calls starts the services before the first request, and ends them after the last."""
    app = FastAPI(
        title="agentfleet",
        version="1",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    for noun in NOUNS:
        app.include_router(noun.router)
    problems.install(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way
    return app


def create_asgi(services: Services) -> ASGIApp:
    """The app with its edge around it: what a server serves."""
    app = create_app(services)
    return Metered(ShortCut(app, [route for noun in NOUNS for route in noun.router.routes]))


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        components = document["components"]
        for shape in (Problem, BatchItemIn):
            schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
            components["schemas"].setdefault(shape.__name__, schema)
        for name, example in ANSWERS.items():  # set here: FastAPI leaves out what is null
            components["schemas"][name]["examples"] = [example]
        components["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = document
    return app.openapi_schema
