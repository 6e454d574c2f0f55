"""/healthz, /readyz and /metrics: open, for kubelets and scrapers."""

from fastapi import Request, Response

from agentfleet_coordinator.direct import direct, direct_router
from agentfleet_coordinator.routes.caller import services_of
from agentfleet_core.telemetry import metrics

router = direct_router("health")
PLAIN = {"content": {"text/plain": {"schema": {"type": "string"}}}}


@direct(router, "GET", "/healthz", is_open=True, media=PLAIN, answers={200: (None, "The process answers.")})
async def healthz(request: Request) -> Response:
    """Whether the process is alive; Redis has no part in it."""
    return _text(200, "ok")


@direct(
    router,
    "GET",
    "/readyz",
    is_open=True,
    media=PLAIN,
    answers={200: (None, "It serves."), 503: (None, "It does not, and why.")},
)
async def readyz(request: Request) -> Response:
    """Whether it can serve now."""
    wrong = services_of(request).not_ready
    return _text(503, wrong) if wrong else _text(200, "ok")


@direct(
    router, "GET", "/metrics", is_open=True, media=PLAIN, answers={200: (None, "Prometheus text format.")}
)
async def get_metrics(request: Request) -> Response:
    """Metrics of this process."""
    metrics.CONFIG_VERSION.set(services_of(request).follower.config.version)
    return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


def _text(status: int, text: str) -> Response:
    return Response(f"{text}\n", status, media_type="text/plain")
