"""The outermost layer: counts and times requests, bounds bodies. Plain ASGI: every request passes it."""

import time
from collections.abc import Iterable

from fastapi import FastAPI, Request
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentfleet_coordinator.direct import DirectRoute
from agentfleet_coordinator.problems import TooLarge, answer
from agentfleet_coordinator.requests import MalformedJson
from agentfleet_core.telemetry import metrics

UNKNOWN_ROUTE = "other"


class Metered:
    """Requests by route template and status; a template is known once the router has matched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
            count, seconds = self._child(scope["method"], route, status)
            count.inc()
            seconds.observe(time.perf_counter() - began)

    def _child(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        if route == UNKNOWN_ROUTE:
            method = "ANY"  # a client can send any word as a method
        key = (method, route, status)
        found = self._children.get(key)
        if found is None:
            found = self._children[key] = (
                metrics.HTTP_REQUESTS.labels(method, route, str(status)),
                metrics.HTTP_REQUEST_SECONDS.labels(method, route),
            )
        return found


class ShortCut:
    """Routes without parameters, looked up: the framework's search and wrapping cost more than a submit."""

    def __init__(self, app: FastAPI, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._routes = {
            (method, route.path): route
            for route in routes
            if isinstance(route, DirectRoute) and "{" not in route.path
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["app"] = self._app
        scope["route"] = route
        try:
            response = await route.endpoint(Request(scope, receive))
        except Exception as error:  # noqa: BLE001  # the process's edge: answered, and logged when it is ours
            response = answer(error)
        await response(scope, receive, send)


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The whole body. Raises `TooLarge` before reading what is announced as too large."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most_bytes:
        raise _too_large(most_bytes)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most_bytes:
                raise _too_large(most_bytes)
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise MalformedJson("the connection ended before the body did") from error
    return b"".join(chunks)


def _too_large(most_bytes: int) -> TooLarge:
    return TooLarge(f"the body is larger than {most_bytes:,} bytes; send less in one request")
