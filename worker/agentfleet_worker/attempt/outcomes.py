"""PURE. How an attempt ends: its settlement, decided from what it returned or raised.

`AttemptStopped` is no Exception, so that a handler's `except Exception` cannot swallow a park or a time-out.
"""

from collections.abc import Mapping

from agentfleet_core.checked import dataclass
from agentfleet_core.errors import AgentfleetError, HandlerFailed
from agentfleet_core.problems import BASE, problem_of
from agentfleet_core.queue.envelope import Claim, SettleKind, Settlement, TaskState
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.queue.step import encode_json
from agentfleet_worker.attempt.words import legible, place_of, text_of

MAX_DETAIL = 2_000


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ends, before it is addressed to its task."""

    kind: SettleKind
    reason: AttemptReason | None = None
    detail: str = ""
    """Of a park: why, in a sentence; a failure's stands in its problem."""
    state: TaskState = TaskState.FAILED
    output: bytes = b""
    problem: Mapping[str, object] | None = None
    limitations: tuple[str, ...] = ()
    not_before_ms: int = 0
    block_tenant: bool = False
    limit: str = ""
    limits_digest: str = ""


class AttemptStopped(BaseException):
    """Leaves a handler from inside: the attempt ends so, whatever the handler would still do."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason or "")
        self.ending = ending


class AttemptLost(BaseException):
    """Another attempt owns the task, or it was cancelled: nothing is to be settled."""


def succeed(output: bytes, limitations: tuple[str, ...] = ()) -> Ending:
    return Ending(SettleKind.END, state=TaskState.SUCCEEDED, output=output, limitations=limitations)


def fail(reason: AttemptReason, detail: str, error: BaseException | None = None, **fields: object) -> Ending:
    """The task cannot succeed: trying again changes nothing."""
    return Ending(
        SettleKind.END, reason, state=TaskState.FAILED, problem=problem(reason, detail, error, **fields)
    )


def retry(
    reason: AttemptReason,
    detail: str,
    error: BaseException | None = None,
    *,
    not_before_ms: int = 0,
    **fields: object,
) -> Ending:
    """The attempt failed; another may succeed. `not_before_ms` 0: the type's backoff decides."""
    return Ending(
        SettleKind.RETRY,
        reason,
        problem=problem(reason, detail, error, **fields),
        not_before_ms=not_before_ms,
    )


def park(
    reason: AttemptReason,
    detail: str,
    *,
    not_before_ms: int,
    block_tenant: bool = False,
    limit: str = "",
    limits_digest: str = "",
) -> Ending:
    """No failure: the task waits. Its deadline stands still."""
    return Ending(
        SettleKind.PARK,
        reason,
        legible(detail),
        not_before_ms=not_before_ms,
        block_tenant=block_tenant,
        limit=limit,
        limits_digest=limits_digest,
    )


def hand_back(reason: AttemptReason) -> Ending:
    return Ending(SettleKind.HAND_BACK, reason)


def problem(
    reason: AttemptReason, detail: str, error: BaseException | None = None, **fields: object
) -> dict[str, object]:
    """A problem as the API shows it; one of our own errors brings its type and fields."""
    if isinstance(error, AgentfleetError) and not isinstance(error, HandlerFailed):
        described = problem_of(error)
    else:
        described = {"type": BASE + _slug(reason), "title": _title(reason)}
    found = {**described, "detail": detail[:MAX_DETAIL], "reason": str(reason), **fields}
    return {name: legible(value) if isinstance(value, str) else value for name, value in found.items()}


def of_exception(error: BaseException) -> Ending:
    """What a handler, a step or a tool raised."""
    said = text_of(error)
    if isinstance(error, HandlerFailed):
        ending = retry if error.retryable else fail
        return ending(AttemptReason.HANDLER_FAILED, said or "the handler failed", error)
    detail = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return retry(AttemptReason.HANDLER_FAILED, f"{detail}{place_of(error)}", error)


def settlement(claim: Claim, ending: Ending) -> Settlement:
    return Settlement(
        task_id=claim.envelope.id,
        attempt=claim.attempt,
        kind=ending.kind,
        state=ending.state,
        output=ending.output,
        error=b"" if ending.problem is None else encode_json(ending.problem),
        limitations=ending.limitations,
        reason=_told(ending),
        not_before_ms=ending.not_before_ms,
        block_tenant=ending.block_tenant,
        limit=ending.limit,
        limits_digest=ending.limits_digest,
    )


def _told(ending: Ending) -> str:
    """As the task's record keeps it: the word, and its sentence where there is one."""
    word = ending.reason or ""
    return f"{word}: {ending.detail}" if ending.detail else word


def _title(reason: AttemptReason) -> str:
    words = "".join(f" {sign.lower()}" if sign.isupper() else sign for sign in reason.value).strip()
    return words[:1].upper() + words[1:]


def _slug(reason: AttemptReason) -> str:
    return _title(reason).lower().replace(" ", "-")
