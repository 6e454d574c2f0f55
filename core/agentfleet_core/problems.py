"""PURE. Errors on the wire: RFC 9457 problem details, one table for every service and for the SDK.

The coordinator answers with them, a task's `error` is one, and the SDK turns them back into the same error.
An error that has no row here is a defect, answered as `internal-error` with nothing of its text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agentfleet_core.errors import (
    AgentfleetError,
    BudgetExhausted,
    CodeMissing,
    Conflict,
    DeadlineExceeded,
    Forbidden,
    HandlerFailed,
    InvalidInput,
    InvalidManifest,
    InvalidRequest,
    NotFound,
    Overloaded,
    ProviderError,
    TaskFailed,
    Unauthorized,
    Unavailable,
)

BASE = "https://agentfleet.dev/problems/"
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemType:
    slug: str
    title: str
    status: int

    @property
    def uri(self) -> str:
        return BASE + self.slug


INTERNAL = ProblemType("internal-error", "Internal error", 500)
MALFORMED = ProblemType("malformed-request", "Malformed request", 400)
TOO_LARGE = ProblemType("too-large", "Request too large", 413)
WORKER_LOST = ProblemType("worker-lost", "Worker lost", 500)
"""Of an attempt whose worker went away; the queue's scripts write it, nobody raises it."""
METHOD_NOT_ALLOWED = ProblemType("method-not-allowed", "Method not allowed", 405)

TABLE: Mapping[type[AgentfleetError], ProblemType] = {
    InvalidRequest: ProblemType("invalid-request", "Invalid request", 422),
    InvalidManifest: ProblemType("invalid-manifest", "Invalid manifest", 422),
    InvalidInput: ProblemType("invalid-input", "Invalid input", 422),
    NotFound: ProblemType("not-found", "Not found", 404),
    Conflict: ProblemType("conflict", "Conflict", 409),
    Unauthorized: ProblemType("unauthorized", "Unauthorized", 401),
    Forbidden: ProblemType("forbidden", "Forbidden", 403),
    Overloaded: ProblemType("overloaded", "Too many tasks wait", 429),
    BudgetExhausted: ProblemType("budget-exhausted", "Budget exhausted", 402),
    DeadlineExceeded: ProblemType("deadline-exceeded", "Deadline exceeded", 504),
    Unavailable: ProblemType("unavailable", "Unavailable", 503),
    HandlerFailed: ProblemType("handler-failed", "Handler failed", 500),
    CodeMissing: ProblemType("handler-missing", "Handler missing", 500),
    ProviderError: ProblemType("provider-error", "Provider error", 502),
    TaskFailed: ProblemType("task-failed", "Task failed", 409),
}
_BY_SLUG = {kind.slug: error for error, kind in TABLE.items()} | {
    MALFORMED.slug: InvalidRequest,
    TOO_LARGE.slug: InvalidRequest,
    METHOD_NOT_ALLOWED.slug: InvalidRequest,
}


def problem_type(error: BaseException) -> ProblemType:
    """The row of the nearest class in the error's own tree."""
    for kind in type(error).__mro__:
        row = TABLE.get(kind)
        if row is not None:
            return row
    return INTERNAL


def problem_of(error: BaseException, *, kind: ProblemType | None = None) -> dict[str, object]:
    """JSON of the problem: type, title, status, detail, and the error's own fields by their names."""
    kind = kind or problem_type(error)
    known = isinstance(error, AgentfleetError)
    detail = str(error) if known else "Something went wrong on our side; the service's log has it."
    problem: dict[str, object] = {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
    }
    match error:
        case InvalidInput(field=field) if field:
            problem["field"] = field
        case NotFound():
            problem |= {"kind": error.kind, "name": error.name}
        case Overloaded(retry_after_seconds=seconds):
            problem["retry_after_seconds"] = seconds
        case BudgetExhausted():
            problem |= {
                "tenant": error.tenant,
                "limit": error.limit,
                "resets_at": error.resets_at and error.resets_at.isoformat(),
            }
        case DeadlineExceeded():
            problem |= {"scope": error.scope, "seconds": error.seconds}
        case ProviderError():
            problem |= {"provider_status": error.status, "provider_error": error.kind}
    return problem


def error_of(
    problem: Mapping[str, object], *, status: int = 0, retry_after_seconds: float = 1.0
) -> AgentfleetError:
    """The error that a problem stands for; an unknown type becomes the nearest by its HTTP status."""
    slug = str(problem.get("type", "")).removeprefix(BASE)
    detail = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
    error = _built(_BY_SLUG.get(slug) or _by_status(status), problem, detail, retry_after_seconds)
    error.args = (detail,)  # the service's own sentence, also for errors that build one from their fields
    return error


def _built(
    kind: type[AgentfleetError], problem: Mapping[str, object], detail: str, retry_after_seconds: float
) -> AgentfleetError:
    def text(name: str) -> str:
        return str(problem.get(name) or "")

    if issubclass(kind, InvalidInput):
        return kind(detail, field=text("field"))
    if kind is NotFound:
        return NotFound(text("kind"), text("name"))
    if kind is Overloaded:
        return Overloaded(detail, retry_after_seconds=retry_after_seconds)
    if kind is BudgetExhausted:
        resets = datetime.fromisoformat(text("resets_at")) if text("resets_at") else None
        return BudgetExhausted(detail, tenant=text("tenant"), limit=text("limit"), resets_at=resets)
    if kind is DeadlineExceeded:
        return DeadlineExceeded(text("scope"), _number(problem.get("seconds")))
    if kind is ProviderError:
        return ProviderError(detail, status=None, kind=text("provider_error"))
    if kind is TaskFailed:
        return TaskFailed(text("task"), text("state"), problem)
    return kind(detail)


def _by_status(status: int) -> type[AgentfleetError]:
    """For an answer that is no problem of ours: a proxy's, or a newer server's."""
    if not 400 <= status < 500:
        return Unavailable
    return next((kind for kind, row in TABLE.items() if row.status == status), InvalidRequest)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
