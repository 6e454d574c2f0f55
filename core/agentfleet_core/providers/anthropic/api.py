"""PURE. The Messages API as a provider. Sources: `anthropic.resources.messages` (paths, fields) and the
provider's page "Token counting": it is free, has rate limits of its own, and is an estimate.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from agentfleet_core.budget.prices import Rates
from agentfleet_core.budget.usage import Report
from agentfleet_core.errors import CostUnknown
from agentfleet_core.providers.anthropic.bounds import runs_server_tools, token_bound, worst_cost
from agentfleet_core.providers.anthropic.errors import STATUS_OF_KIND, classify
from agentfleet_core.providers.anthropic.stream import StreamReader, as_stream
from agentfleet_core.providers.anthropic.usage import read_usage
from agentfleet_core.providers.port import Count, Reader, Request
from agentfleet_core.resilience.verdict import Verdict

_FREE: Final = re.compile(r"POST /v1/messages/count_tokens|GET /v1/models(/(?!\.{1,2}$)[A-Za-z0-9._~:@-]+)?")
"""Matched whole, on the path as it is sent: an escape could mean another path to whoever stands between."""
_COUNTED_FIELDS: Final = (
    "cache_control", "messages", "model", "output_config", "speed", "system", "thinking", "tool_choice",
    "tools",
)  # fmt: skip
_THINKING: Final = ("thinking", "redacted_thinking")

Block = Mapping[str, Any]


class Anthropic:
    """Implements `Provider`."""

    url = "https://api.anthropic.com"
    paid_path = "/v1/messages"

    def is_free(self, method: str, path: str) -> bool:
        return _FREE.fullmatch(f"{method} {path}") is not None

    def key_header(self, key: str) -> tuple[bytes, bytes]:
        return b"x-api-key", key.encode()

    def addressed(self, request: Request, model: str, *, another: bool) -> dict[str, Any]:
        addressed = {**request, "model": model, "stream": True}
        if another:
            addressed["messages"] = _without_thinking(request.get("messages"))
        return addressed

    def worst_cost(self, request: Request, payload: bytes, rates: Rates, counted: int | None = None) -> int:
        return worst_cost(request, token_bound(payload), rates, counted)

    def count(self, request: Request) -> Count | None:
        """None with tools that run at the provider: the count knows their first round alone."""
        if runs_server_tools(request):
            return None
        counted = {name: request[name] for name in _COUNTED_FIELDS if name in request}
        return Count("/v1/messages/count_tokens", orjson.dumps(counted))

    def counted(self, answer: bytes) -> int:
        try:
            tokens = orjson.loads(answer)["input_tokens"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise CostUnknown("the count of tokens cannot be read", field="input_tokens") from error
        if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
            raise CostUnknown(f"input_tokens is {tokens!r}, not a count of tokens", field="input_tokens")
        return tokens

    def report(self, usage: Mapping[str, Any]) -> Report:
        return read_usage(usage)

    def reader(self) -> Reader:
        return StreamReader()

    def stream(self, message: Mapping[str, Any]) -> Iterator[bytes]:
        return as_stream(message)

    def refusal(self, status: int, body: bytes) -> tuple[str, str]:
        try:
            error = orjson.loads(body)["error"]
            return str(error["type"]), str(error["message"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return "http_error", f"HTTP {status}"

    def as_refusal(self, kind: str, message: str) -> tuple[int, bytes]:
        error = {"type": "error", "error": {"type": kind, "message": message}}
        return STATUS_OF_KIND.get(kind, 400), orjson.dumps(error)

    def should_retry(self, headers: Mapping[str, str]) -> bool | None:
        return {"true": True, "false": False}.get(headers.get("x-should-retry", ""))

    def verdict(self, status: int | None, kind: str, *, should_retry: bool | None = None) -> Verdict:
        return classify(status, kind, should_retry=should_retry)


def without_thinking(content: Sequence[Block]) -> list[Block]:
    """A turn as another model may see it: thinking is signed by the one that thought."""
    return [block for block in content if block["type"] not in _THINKING]


def _without_thinking(messages: Any) -> list[Any]:
    """The conversation so; what is no turn of blocks stays, for the provider to judge."""
    kept = []
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, Mapping) else None
        if not isinstance(content, list) or message.get("role") != "assistant":
            kept.append(message)
        elif left := [block for block in content if block.get("type") not in _THINKING]:
            kept.append({**message, "content": left})  # the provider takes no empty turn
    return kept
