"""What a provider's failure means for the task that met it, when its handler did not deal with it."""

from typing import TYPE_CHECKING

from agentfleet_core.errors import ProviderError
from agentfleet_core.providers.anthropic.errors import classify
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.resilience.retry_after import retry_after_seconds
from agentfleet_core.resilience.verdict import Fail
from agentfleet_worker.attempt.outcomes import Ending, fail, park, retry

if TYPE_CHECKING:
    from anthropic import APIError


def as_provider_error(error: "APIError") -> ProviderError:
    """The SDK's error as one of ours."""
    from anthropic import APIConnectionError, APIStatusError

    if isinstance(error, APIStatusError):
        message = error.api_message or f"HTTP {error.status_code}"
        seconds = retry_after_seconds(error.response.headers.get("retry-after"))
        kind = str(error.type or "http_error")
        return ProviderError(
            f"the provider answered {error.status_code}, {kind}: {message}",
            status=error.status_code,
            kind=kind,
            retry_after_seconds=seconds,
        )
    cause = error.__cause__
    kind = "connection_error" if isinstance(error, APIConnectionError) else "api_error"
    detail = str(cause) if cause is not None and str(cause) else error.message
    return ProviderError(f"the call did not get through: {detail}", status=None, kind=kind)


def of_provider_error(error: BaseException, now_ms: int) -> Ending | None:
    """None: it is no provider's failure."""
    from anthropic import APIError

    if isinstance(error, APIError):
        error = as_provider_error(error)
    if not isinstance(error, ProviderError):
        return None
    verdict = classify(error.status, error.kind)
    if isinstance(verdict, Fail):
        return fail(AttemptReason.PROVIDER_REFUSED, f"{error}; {verdict.advice}", error)
    seconds = error.retry_after_seconds
    if verdict.slows_fleet and seconds is not None:
        # Not the task's failure: it waits as long as the provider asked for, and its deadline stands still.
        return park(AttemptReason.THROTTLED, str(error), not_before_ms=now_ms + int(seconds * 1000))
    return retry(AttemptReason.PROVIDER_UNAVAILABLE, str(error), error)
