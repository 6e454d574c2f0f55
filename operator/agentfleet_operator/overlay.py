"""PURE. A pod overlay laid over our pod template.

Objects merge by key; lists whose entries have an identity (containers by name, mounts by path …) merge entry
by entry; any other list is replaced. What an overlay may not touch is refused before (core's
fleet/overlay.py), not here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agentfleet_core.fleet.overlay import MERGE_KEYS


def merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """A new object; null in the overlay removes a key."""
    result = dict(base)
    for key, value in overlay.items():
        before = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(before, Mapping):
            result[key] = merged(before, value)
        elif isinstance(value, list) and isinstance(before, list) and key in MERGE_KEYS:
            result[key] = _merged_entries(before, value, MERGE_KEYS[key])
        else:
            result[key] = value
    return result


def _merged_entries(
    base: Sequence[Mapping[str, Any]], overlay: Sequence[Mapping[str, Any]], identity: str
) -> list[dict[str, Any]]:
    entries = {entry[identity]: dict(entry) for entry in base}
    for entry in overlay:
        name = entry[identity]
        entries[name] = merged(entries[name], entry) if name in entries else dict(entry)
    return list(entries.values())
