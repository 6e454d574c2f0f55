"""PURE. A submit that works with the fleet at hand, to be shown to whoever has just started it."""

import json

from agentfleet_cli.simulator.answer import example
from agentfleet_core.fleet.config import FleetConfig

SAID_BY_CUSTOMERS = frozenset({"message", "question", "text", "complaint", "complaints", "reason"})
"""Fields whose value is a sentence."""


def example_command(config: FleetConfig) -> list[str]:
    """`submit TYPE field=value …`, with values that fit the type's input schema."""
    if not config.task_types:
        return ["submit", "TYPE", "key=value"]
    name, spec = max(config.task_types.items(), key=lambda item: item[1].priority)
    values = example(spec.input_schema, "order A-1001") if spec.input_schema else {}
    fields = spec.input_schema.get("properties", {})
    for key, value in values.items():
        if isinstance(value, str) and not {"pattern", "enum", "const"} & set(fields.get(key, {})):
            values[key] = "It arrived broken." if key in SAID_BY_CUSTOMERS else f"any {key}"
    return ["submit", name, *(_pair(key, value) for key, value in values.items()), "--wait"]


def _pair(key: str, value: object) -> str:
    return f"{key}={value}" if isinstance(value, str) else f"{key}:={json.dumps(value)}"
