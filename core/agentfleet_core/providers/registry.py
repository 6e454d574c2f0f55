"""PURE. The providers that there are, by the `provider.type` of a ModelTier."""

from collections.abc import Mapping
from typing import Any, Final

from agentfleet_core.budget.usage import in_words
from agentfleet_core.errors import CostUnknown
from agentfleet_core.providers.anthropic.api import Anthropic
from agentfleet_core.providers.port import Provider

PROVIDERS: Final[Mapping[str, Provider]] = {"Anthropic": Anthropic()}


def usage_in_words(usage: Mapping[str, Any] | None) -> str:
    """Of a journaled call, whoever served it: `412 in, 96 out`; empty for what nobody here can read."""
    for provider in PROVIDERS.values():
        try:
            return in_words(provider.report(usage)) if usage else ""
        except CostUnknown:
            continue
    return ""
