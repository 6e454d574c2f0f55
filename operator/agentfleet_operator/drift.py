"""PURE. Where a live object differs from what was declared. Fields that only the API server set do not count.

The API server writes quantities in its own way ("0.5" may come back as "500m"), so they are compared by
value. Lists are compared entry by entry: by name where the entries have one (others may add theirs), else as
they stand.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

SUFFIXES = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal(10**3),
    "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "E": Decimal(10**18), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip
QUANTITIES = frozenset({"requests", "limits", "sizeLimit", "divisor", "storage"})


def first_difference(declared: Any, live: Any, path: str = "") -> str:
    """The path of the first declared value that is not there; empty when all is as declared."""
    if isinstance(declared, Mapping):
        return _in_mapping(declared, live, path)
    if isinstance(declared, list):
        return _in_list(declared, live, path)
    if declared == live or (_nothing(declared) and _nothing(live)):
        return ""
    if _holds_quantity(path) and quantity(declared) is not None and quantity(declared) == quantity(live):
        return ""
    return path or "."


def _in_mapping(declared: Mapping[str, Any], live: Any, path: str) -> str:
    if not isinstance(live, Mapping):
        return "" if _nothing(live) and all(_nothing(one) for one in declared.values()) else path or "."
    for key, value in declared.items():
        found = first_difference(value, live.get(key), f"{path}.{key}")
        if found:
            return found
    return ""


def _in_list(declared: list[Any], live: Any, path: str) -> str:
    if not isinstance(live, list):
        return "" if _nothing(declared) and _nothing(live) else path
    if declared and all(isinstance(one, Mapping) and "name" in one for one in declared):
        by_name = {one.get("name"): one for one in live if isinstance(one, Mapping)}
        for one in declared:
            found = first_difference(one, by_name.get(one["name"]), f"{path}[{one['name']}]")
            if found:
                return found
        return ""
    if len(declared) != len(live):
        return path
    for index, (one, other) in enumerate(zip(declared, live, strict=True)):
        found = first_difference(one, other, f"{path}[{index}]")
        if found:
            return found
    return ""


def _nothing(value: Any) -> bool:
    """The API server drops empty values."""
    return value is None or value in ("", [], {}, False, 0)


def _holds_quantity(path: str) -> bool:
    return any(part in QUANTITIES for part in path.split("."))


def quantity(value: Any) -> Decimal | None:
    """A Kubernetes quantity by value; None when it is none."""
    text = str(value)
    for length in (2, 1, 0):
        suffix = text[-length:] if length else ""
        if suffix in SUFFIXES and len(text) > length:
            try:
                return Decimal(text[: len(text) - length]) * SUFFIXES[suffix]
            except InvalidOperation:
                continue
    return None
