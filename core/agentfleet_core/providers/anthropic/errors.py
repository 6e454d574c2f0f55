"""PURE. The first table of the provider's errors: what may help when done again, and what must change first.

Sources: `anthropic._base_client` (408, 409, 429 and 5xx are retried, and `x-should-retry` is obeyed) and
`anthropic.types.shared.ErrorType` for errors inside a stream that began with 200.
"""

from collections.abc import Mapping
from typing import Final

from agentfleet_core.resilience.verdict import Fail, Retry, Verdict

_KEY = Fail("the key is not accepted; check the ModelTier's provider.apiKeySecretRef")
_RIGHTS = Fail("the key has no right to this; check it and the model's name in the ModelTier")
_MONEY = Fail("the provider's own billing or spend limit stops it; see the account at the provider")
_REQUEST = Fail("the request is not valid; see the provider's message")
_TOO_LARGE = Fail("the request is too large; shorten the prompt or the tools' results")
_MISSING = Fail("the model or address does not exist; check the ModelTier's models and provider.baseUrl")

_BY_STATUS: Final[Mapping[int, Verdict]] = {
    400: _REQUEST,
    401: _KEY,
    402: _MONEY,
    403: _RIGHTS,
    404: _MISSING,
    408: Retry(),
    409: Retry(),
    413: _TOO_LARGE,
    422: _REQUEST,
    425: Retry(),
    429: Retry(slows_fleet=True),
    503: Retry(slows_fleet=True),
    529: Retry(slows_fleet=True),
}
STATUS_OF_KIND: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
}
"""Of errors that no second try can help, the status that each has outside of a stream."""
_BY_KIND: Final[Mapping[str, Verdict]] = {
    "invalid_request_error": _REQUEST,
    "authentication_error": _KEY,
    "billing_error": _MONEY,
    "permission_error": _RIGHTS,
    "not_found_error": _MISSING,
    "request_too_large": _TOO_LARGE,
    "rate_limit_error": Retry(slows_fleet=True),
    "overloaded_error": Retry(slows_fleet=True),
    "timeout_error": Retry(),
    "api_error": Retry(),
    "conflict_error": Retry(),
}


def classify(status: int | None, kind: str, *, should_retry: bool | None = None) -> Verdict:
    """As `Provider.verdict`. An error that is newer than this table is tried again, since a deadline bounds
    that, unless its status says that the request is at fault.
    """
    verdict = _by_table(status, kind)
    if should_retry is True and isinstance(verdict, Fail):
        return Retry()
    if should_retry is False and isinstance(verdict, Retry):
        return _BY_KIND["billing_error"] if status == 429 else Fail("it says that trying again cannot help")
    return verdict


def _by_table(status: int | None, kind: str) -> Verdict:
    if status is None or status < 400:
        return _BY_KIND.get(kind, Retry())
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return Retry() if status >= 500 else _REQUEST
