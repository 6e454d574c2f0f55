"""PURE. What the house needs of a provider: pure functions of what is sent and of what came back.

The bytes travel elsewhere. A provider keeps no state, so one object serves every tier that names its type.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agentfleet_core.budget.prices import Rates
from agentfleet_core.budget.usage import Report
from agentfleet_core.resilience.verdict import Verdict

Request = Mapping[str, Any]
"""A call's body, parsed."""


class StreamError(Exception):
    """A stream that the provider broke off by its own word, or that cannot be read, after its 200."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Reader(Protocol):
    """Reads one answer as it comes."""

    message: dict[str, Any] | None
    """As far as it was told; whole once `complete`."""
    complete: bool

    def feed(self, data: bytes) -> str:
        """The new text that these bytes brought. Raises `StreamError`."""
        ...

    @property
    def usage(self) -> Mapping[str, Any]:
        """As the provider says it; final once `complete`."""
        ...


@dataclass(frozen=True, slots=True)
class Count:
    """A free request whose answer says how many tokens a prompt has."""

    path: str
    body: bytes


class Provider(Protocol):
    @property
    def url(self) -> str:
        """Where it is reached when the tier names no other address."""
        ...

    @property
    def paid_path(self) -> str:
        """A POST here is a paid call."""
        ...

    def is_free(self, method: str, path: str) -> bool:
        """Known not to be billed. `path` is the one that is sent, escapes and all, without its query."""
        ...

    def key_header(self, key: str) -> tuple[bytes, bytes]: ...

    def addressed(self, request: Request, model: str, *, another: bool) -> dict[str, Any]:
        """The request for this model, to be answered as a stream. `another`: than the one whose turns it
        holds.
        """
        ...

    def worst_cost(self, request: Request, payload: bytes, rates: Rates, counted: int | None = None) -> int:
        """The most that it can cost, in nano-USD; `payload` is the request as sent, `counted` what a `Count`
        brought.

        Raises `CostUnknown` for whatever has no bound.
        """
        ...

    def count(self, request: Request) -> Count | None:
        """None: counting cannot lower this request's bound."""
        ...

    def counted(self, answer: bytes) -> int:
        """Raises `CostUnknown` for an answer that says nothing."""
        ...

    def report(self, usage: Mapping[str, Any]) -> Report:
        """A final usage. Raises `CostUnknown` for one that cannot be read whole."""
        ...

    def reader(self) -> Reader: ...

    def stream(self, message: Mapping[str, Any]) -> Iterator[bytes]:
        """An answer that was kept, its usage in it, as the stream that a caller asked for."""
        ...

    def refusal(self, status: int, body: bytes) -> tuple[str, str]:
        """The kind and the message of an error answer."""
        ...

    def as_refusal(self, kind: str, message: str) -> tuple[int, bytes]:
        """Status and body of the error answer that says the same as a stream's own last word."""
        ...

    def should_retry(self, headers: Mapping[str, str]) -> bool | None:
        """The provider's own word on a refusal, where its headers give one."""
        ...

    def verdict(self, status: int | None, kind: str, *, should_retry: bool | None = None) -> Verdict:
        """What to do about a call that failed.

        `status` is the HTTP status of the refusal, None when there was none: the connection broke, time was
        over, or the stream brought an error of that `kind`. `should_retry` is the provider's own word, where
        it gave one.
        """
        ...
