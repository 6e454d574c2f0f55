"""PURE. What a call used, as the provider reports it: strict to read, so that nothing unread goes unpaid.

The fields are those of the Messages API's `usage` object: `input_tokens` excludes cache tokens; the whole
prompt is input plus cache reads plus cache writes; `output_tokens` includes thinking.
"""

from collections.abc import Mapping
from typing import Any

from agentfleet_core.budget.usage import Report, Usage
from agentfleet_core.errors import CostUnknown


def merged(start: Mapping[str, Any], delta: Mapping[str, Any]) -> dict[str, Any]:
    """The usage of `message_start`, overlaid by that of a `message_delta`, whose counts are cumulative."""
    return {**start, **{name: value for name, value in delta.items() if value is not None}}


def read_usage(usage: Mapping[str, Any]) -> Report:
    """A final `usage` object as JSON. Raises `CostUnknown` for one that cannot be read whole."""
    server = usage.get("server_tool_use") or {}
    return Report(
        rounds=_rounds(usage),
        web_searches=_count(server, "web_search_requests"),
        service_tier=usage.get("service_tier") or "standard",
        speed=usage.get("speed") or "standard",
        inference_geo=usage.get("inference_geo") or "",
    )


def _rounds(usage: Mapping[str, Any]) -> tuple[Usage, ...]:
    """One round, or those listed in `iterations` (a server-side tool loop): each has a band of its own."""
    iterations = usage.get("iterations") or ()
    for iteration in iterations:
        kind = iteration.get("type")
        if kind not in ("message", "compaction"):
            raise CostUnknown(
                f'usage has an iteration of type "{kind}", which no price covers', field="iterations"
            )
    return tuple(_one_round(each) for each in iterations or (usage,))


def _one_round(usage: Mapping[str, Any]) -> Usage:
    """Cache writes without a breakdown by lifetime count as the dearer hour: never less than billed."""
    written = _count(usage, "cache_creation_input_tokens")
    by_lifetime = usage.get("cache_creation") or {}
    five_minutes = _count(by_lifetime, "ephemeral_5m_input_tokens")
    hour = _count(by_lifetime, "ephemeral_1h_input_tokens")
    return Usage(
        input=_count(usage, "input_tokens", required=True),
        output=_count(usage, "output_tokens", required=True),
        cache_read=_count(usage, "cache_read_input_tokens"),
        cache_write_5m=five_minutes,
        cache_write_1h=hour + max(0, written - five_minutes - hour),
    )


def _count(usage: Mapping[str, Any], name: str, *, required: bool = False) -> int:
    value = usage.get(name)
    if value is None and not required:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CostUnknown(f"usage.{name} is {value!r}, not a count of tokens", field=name)
    return value
