"""PURE. The most that a Messages API request can use, read from its body alone, with no round trip.

A byte-level tokenizer makes at most one token of each byte, and JSON only adds bytes, so the body's length
bounds its tokens (`token_bound`). What the provider adds by itself (tools' instructions, media, rounds of
server-side tools) has a bound of its own here or in the ModelTier, or the request is refused with
`CostUnknown`: an unknown field, content block or tool is one whose cost is unknown.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

from agentfleet_core.budget.prices import Demand, Rates, worst_case, worst_case_in_rounds
from agentfleet_core.errors import CostUnknown

TOOLS_OVERHEAD_TOKENS: Final = 1_024
"""The instructions that tools or an output format add to a prompt: the provider's page on tool use names at
most 530 ("Pricing"); about twice that, since the figure changes with each model."""
BUILT_IN_TOOL_TOKENS: Final = 2_048
"""The schema of one tool that the provider defines and the client runs: 735 (computer) is the most named."""
COUNT_SLACK_SHARE: Final = 20
"""A twentieth, and"""
COUNT_SLACK_TOKENS: Final = 64
"""so many tokens are added to the provider's count, which it calls an estimate that "may differ by a small
amount" (its page "Token counting"); what passes even that is booked in full, as an overrun."""
MOST_BYTES_PER_TOKEN: Final = 16
"""A count below the prompt's bytes by this is not believed: ordinary text has three or four to a token."""

_FIELDS: Final = frozenset(
    {
        "cache_control", "diagnostics", "inference_geo", "max_tokens", "messages", "metadata", "model",
        "output_config", "service_tier", "speed", "stop_sequences", "stream", "system", "temperature",
        "thinking", "tool_choice", "tools", "top_k", "top_p", "user_profile_id", "workspace_id",
    }
)  # fmt: skip
_TEXT_BLOCKS: Final = frozenset(
    {
        "text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "tool_reference",
        "web_search_tool_result", "web_fetch_tool_result", "tool_search_tool_result", "search_result",
    }
)  # fmt: skip
_CLIENT_TOOLS: Final = ("bash_", "text_editor_", "memory_", "computer_2")
_SERVER_TOOLS: Final = ("web_search_", "web_fetch_", "tool_search_tool_")


def token_bound(body: bytes) -> int:
    """The most tokens that a body in UTF-8 can be.

    Its bytes, or those of its NFKC form where that is longer: a tokenizer may normalise first (the provider's
    published one does), and single characters become up to 18.
    """
    if body.isascii():
        return len(body)
    normalized = unicodedata.normalize("NFKC", body.decode("utf-8", "replace"))
    return max(len(body), len(normalized.encode()))


def worst_cost(request: Mapping[str, Any], body_tokens: int, rates: Rates, counted: int | None = None) -> int:
    """What to hold for a request, in nano-USD: `request` is the parsed body, `body_tokens` its `token_bound`,
    `counted` the provider's own count of its prompt, which has tools, media and sources in it; it is believed
    down to what a text of that size and the declared media make at the least.

    Raises `CostUnknown` for whatever has no bound.
    """
    _only_known_fields(request)
    media = _Media(rates.max_media_tokens)
    media.scan(_blocks(request.get("system")))
    for message in _objects(request, "messages"):
        media.scan(_blocks(message.get("content")))
    tools = _objects(request, "tools")
    text = body_tokens - media.data_bytes
    prompt = text + media.tokens + _tools_tokens(request, tools)
    if counted is not None:
        counted += counted // COUNT_SLACK_SHARE + COUNT_SLACK_TOKENS
        prompt = min(prompt, max(counted, text // MOST_BYTES_PER_TOKEN + media.tokens))
    demand = Demand(
        prompt_tokens=prompt,
        output_tokens=_max_tokens(request),
        fast=request.get("speed") == "fast",
        priority=request.get("service_tier") != "standard_only",
        geo=request.get("inference_geo"),
    )
    if runs_server_tools(request):
        return worst_case_in_rounds(_with_server_tools(demand, tools, rates), rates)
    return worst_case(demand, rates)


def runs_server_tools(request: Mapping[str, Any]) -> bool:
    """Whether some of its tools run at the provider, in rounds of their own."""
    return any(_tool_type(tool).startswith(_SERVER_TOOLS) for tool in _objects(request, "tools"))


class _Media:
    """Counts what bytes do not bound: images, documents, cited sources. Each counts as the tier declares."""

    def __init__(self, most_each: int | None) -> None:
        self._most_each = most_each
        self.tokens = 0
        self.data_bytes = 0
        """Base64 of media inside the body; the declared bound stands for it."""

    def scan(self, blocks: Iterable[Mapping[str, Any]]) -> None:
        for block in blocks:
            kind = block.get("type", "text")
            source = block.get("source")
            if kind == "tool_result":
                self.scan(_blocks(block.get("content")))
            elif kind == "document" and isinstance(source, Mapping) and source.get("type") == "content":
                self.scan(_blocks(source.get("content")))
                self._count_if_cited(block)
            elif kind in ("image", "document"):
                self._count_media(block, kind, source)
            elif kind in _TEXT_BLOCKS:
                self._count_if_cited(block)
            else:
                raise CostUnknown(f'what a content block of type "{kind}" costs is unknown', field="messages")

    def _count_media(self, block: Mapping[str, Any], kind: str, source: object) -> None:
        how = source.get("type") if isinstance(source, Mapping) else None
        if kind == "document" and how == "text":
            self._count_if_cited(block)
            return
        self._count_one(kind)
        if isinstance(source, Mapping) and how == "base64":
            self.data_bytes += len(source.get("data") or "")

    def _count_if_cited(self, block: Mapping[str, Any]) -> None:
        citations = block.get("citations")
        if isinstance(citations, Mapping) and citations.get("enabled"):
            self._count_one("cited source")

    def _count_one(self, what: str) -> None:
        if self._most_each is None:
            raise CostUnknown(
                f"the tokens of a {what} have no bound; declare maxMediaTokens on the ModelTier's model",
                field="messages",
            )
        self.tokens += self._most_each


def _blocks(content: object) -> Iterable[Mapping[str, Any]]:
    return [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else ()


def _objects(request: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = request.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise CostUnknown(f"{name} is not a list of objects", field=name)
    return value


def _only_known_fields(request: Mapping[str, Any]) -> None:
    for name in request:
        if name not in _FIELDS:
            raise CostUnknown(f'what the request field "{name}" costs is unknown; leave it out', field=name)


def _max_tokens(request: Mapping[str, Any]) -> int:
    value = request.get("max_tokens")
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CostUnknown(f"max_tokens is {value!r}; it must bound the output", field="max_tokens")
    return value


def _tools_tokens(request: Mapping[str, Any], tools: Iterable[Mapping[str, Any]]) -> int:
    tokens = 0
    if tools or request.get("output_config"):
        tokens += TOOLS_OVERHEAD_TOKENS
    for tool in tools:
        kind = _tool_type(tool)
        if kind != "custom" and not kind.startswith(_CLIENT_TOOLS + _SERVER_TOOLS):
            raise CostUnknown(f'what a tool of type "{kind}" costs is unknown', field="tools")
        tokens += 0 if kind == "custom" else BUILT_IN_TOOL_TOKENS
    return tokens


def _with_server_tools(demand: Demand, tools: Iterable[Mapping[str, Any]], rates: Rates) -> Demand:
    declared = rates.server_tools
    if declared is None:
        raise CostUnknown(
            "tools that run at the provider have no bound; declare serverTools on the ModelTier's model",
            field="tools",
        )
    searches = 0
    if any(_tool_type(tool).startswith("web_search_") for tool in tools):
        searches = declared.max_web_searches
    return Demand(
        prompt_tokens=max(demand.prompt_tokens, declared.max_prompt_tokens),
        output_tokens=max(demand.output_tokens, declared.max_output_tokens),
        web_searches=searches,
        fast=demand.fast,
        priority=demand.priority,
        geo=demand.geo,
    )


def _tool_type(tool: Mapping[str, Any]) -> str:
    return tool.get("type") or "custom"
