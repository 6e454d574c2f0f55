"""Manifests with one or two random changes, from a seed: what nobody thought of."""

import random
from collections.abc import Iterator
from typing import Any

from tests.manifests.table import GONE, WORKFLOW, Manifest, changed, good

from agentfleet_core.api.validation import schema_of

VALUES: tuple[Any, ...] = (
    None, True, 0, 1, -1, 7, 1.5, 10**5, 10**12, 2**63, "", "a", "a-b", "A b", "-a", "ab\n", "é", "1", "1.5",
    "0.000000001", "9000000", "9000001", "2026-02-28", "2026-02-31", "2026-2-1", "x" * 64, "x" * 300, "a:b",
    "http://a", "Day", "UTC", "Batch", [], {}, [None], ["a"], ["a", "a"], [1], [{}], {"name": "a"},
    {"a": None}, {"a": "1"}, {"unknown": 1},
)  # fmt: skip

TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
}


def mutants(seed: int, count: int) -> Iterator[tuple[str, Manifest]]:
    """(what was changed, the manifest)."""
    chance = random.Random(seed)
    for _ in range(count):
        kind = chance.choice(["AgentPool", "ModelTier", "TaskType", "TenantBudget"])
        manifest = good(kind)
        if kind == "TaskType" and chance.random() < 0.5:
            manifest = changed(manifest, {"spec.agent": GONE, "spec.workflow": WORKFLOW})
        told = []
        for _ in range(chance.choice([1, 1, 2])):
            path, wanted = chance.choice(
                [*_paths(schema_of(kind)["properties"]["spec"], manifest["spec"], "spec")]
            )
            fitting = [one for one in VALUES if isinstance(one, TYPES.get(wanted, object))]
            values = (
                fitting
                if fitting and chance.random() < 0.6
                else [*VALUES, *([] if path[-1] == "]" else [GONE])]
            )
            value = chance.choice(values)
            told.append(f"{path} = {'gone' if value is GONE else repr(value)[:60]}")
            try:
                manifest = changed(manifest, {path: value})
            except (TypeError, KeyError, IndexError, ValueError, AttributeError):
                told.pop()  # The first change took away what the second is about.
        yield f"{kind}: {'; '.join(told)}", manifest


def _paths(schema: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Path and type of every field that is there or could be, and of every entry of a list that is there."""
    if "properties" in schema:
        for name, child in schema["properties"].items():
            yield f"{path}.{name}", child.get("type", "")
            inner = value.get(name) if isinstance(value, dict) else None
            if inner is not None:
                yield from _paths(child, inner, f"{path}.{name}")
    elif isinstance(value, dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        yield from ((f"{path}.{name}", "string") for name in value)
    elif isinstance(value, list):
        items = schema.get("items", {})
        for index, child in enumerate(value):
            yield f"{path}[{index}]", items.get("type", "")
            yield from _paths(items, child, f"{path}[{index}]")
