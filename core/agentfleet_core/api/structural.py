"""PURE. What the API server says of an object by its structural schema: types, ranges, unknown fields,
defaults.

The same verdicts at the same field paths; the sentences are ours, and say what to change.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from functools import cache
from typing import Any

from agentfleet_core.api.v1alpha1.base import PATTERN_WORDS
from agentfleet_core.suggest import choices

Schema = Mapping[str, Any]

INT64 = range(-(2**63), 2**63)
TYPE_WORDS = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
}


class ProblemKind(Enum):
    """Which of the server's checks fails."""

    UNKNOWN = auto()
    REQUIRED = auto()
    TYPE = auto()
    TOO_LONG = auto()
    VALUE = auto()
    DUPLICATE = auto()
    RULE = auto()
    """A CEL rule failed."""
    FINDING = auto()
    """Seen only in view of the other objects; the API server accepts it, a condition says it."""


BLOCKING = frozenset({ProblemKind.REQUIRED, ProblemKind.TYPE, ProblemKind.TOO_LONG})
"""With one of these the API server evaluates no rule."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong, at a path such as `spec.limits[0].amount`."""

    field: str
    message: str
    kind: ProblemKind


def unknown_fields(schema: Schema, value: Any, path: str) -> Iterator[Problem]:
    """What the API server drops, or refuses when it is asked to be strict, as kubectl asks."""
    if isinstance(value, Mapping) and "properties" in schema:
        known = schema["properties"]
        for name, child in value.items():
            where = join(path, name)
            if name in known:
                yield from unknown_fields(known[name], child, where)
            elif not schema.get("x-kubernetes-preserve-unknown-fields"):
                yield Problem(where, f"unknown field; {choices(str(name), known)}", ProblemKind.UNKNOWN)
    elif isinstance(value, Mapping) and isinstance(schema.get("additionalProperties"), Mapping):
        for name, child in value.items():
            yield from unknown_fields(schema["additionalProperties"], child, join(path, name))
    elif isinstance(value, list) and "items" in schema:
        for index, child in enumerate(value):
            yield from unknown_fields(schema["items"], child, f"{path}[{index}]")


def with_defaults(schema: Schema, value: Any) -> Any:
    """A copy as the API server stores it: defaults filled in, a null in the place of a default taken for
    nothing.
    """
    if isinstance(value, Mapping):
        properties: Schema = schema.get("properties", {})
        rest = schema.get("additionalProperties")
        filled = {}
        for name, child in value.items():
            known = properties.get(name, rest if isinstance(rest, Mapping) else {})
            if child is None and known:
                continue
            filled[name] = with_defaults(known, child)
        for name, known in properties.items():
            if name not in filled and "default" in known:
                filled[name] = with_defaults(known, known["default"])
        return filled
    if isinstance(value, list):
        return [with_defaults(schema.get("items", {}), child) for child in value]
    return value


def schema_problems(schema: Schema, value: Any, path: str) -> Iterator[Problem]:
    """What is wrong by the schema alone. `value` has its defaults."""
    if schema.get("x-kubernetes-int-or-string"):
        if not _is_integer(value) and not isinstance(value, str):
            yield Problem(path, "must be a string or a whole number", ProblemKind.TYPE)
            return
    elif "type" in schema and not _has_type(value, schema["type"]):
        yield Problem(path, _type_message(schema["type"], value), ProblemKind.TYPE)
        return
    if "enum" in schema and value not in schema["enum"]:
        known = [str(one) for one in schema["enum"]]
        yield Problem(path, f'"{value}" is not allowed; {choices(str(value), known)}', ProblemKind.VALUE)
    if isinstance(value, str):
        yield from _string_problems(schema, value, path)
    elif isinstance(value, bool):
        return
    elif isinstance(value, int | float):
        yield from _number_problems(schema, value, path)
    elif isinstance(value, list):
        yield from _list_problems(schema, value, path)
    elif isinstance(value, Mapping):
        yield from _object_problems(schema, value, path)


def _object_problems(schema: Schema, value: Mapping[str, Any], path: str) -> Iterator[Problem]:
    properties: Schema = schema.get("properties", {})
    rest = schema.get("additionalProperties")
    for name in schema.get("required", ()):
        if name not in value:
            yield Problem(join(path, name), "is required", ProblemKind.REQUIRED)
    if len(value) > schema.get("maxProperties", len(value)):
        message = f"has {len(value)} entries; at most {schema['maxProperties']} are allowed"
        yield Problem(path, message, ProblemKind.TOO_LONG)
    for name, child in value.items():
        known = properties.get(name, rest if isinstance(rest, Mapping) else None)
        if known is not None:
            yield from schema_problems(known, child, join(path, name))


def _list_problems(schema: Schema, value: Sequence[Any], path: str) -> Iterator[Problem]:
    if len(value) > schema.get("maxItems", len(value)):
        message = f"has {len(value)} entries; at most {schema['maxItems']} are allowed"
        yield Problem(path, message, ProblemKind.TOO_LONG)
    if len(value) < schema.get("minItems", 0):
        yield Problem(path, f"needs at least {schema['minItems']} entry", ProblemKind.VALUE)
    for index, child in enumerate(value):
        yield from schema_problems(schema.get("items", {}), child, f"{path}[{index}]")
    yield from _duplicates(schema, value, path)


def _duplicates(schema: Schema, value: Sequence[Any], path: str) -> Iterator[Problem]:
    """A set's entries, and the keys of a list that is a map, are unique."""
    form = schema.get("x-kubernetes-list-type")
    if form not in {"set", "map"}:
        return
    keys = schema.get("x-kubernetes-list-map-keys", ())
    seen = []
    for index, entry in enumerate(value):
        if form == "map" and not isinstance(entry, Mapping):
            continue
        identity = [entry.get(key) for key in keys] if form == "map" else entry
        if identity in seen:
            shown = ", ".join(str(part) for part in identity) if form == "map" else str(entry)
            yield Problem(
                f"{path}[{index}]", f'"{shown}" stands twice; keep one of them', ProblemKind.DUPLICATE
            )
        seen.append(identity)


def _string_problems(schema: Schema, value: str, path: str) -> Iterator[Problem]:
    if len(value) > schema.get("maxLength", len(value)):
        message = f"has {len(value)} characters; at most {schema['maxLength']} are allowed"
        yield Problem(path, message, ProblemKind.TOO_LONG)
    if len(value) < schema.get("minLength", 0):
        yield Problem(path, "must not be empty", ProblemKind.VALUE)
    pattern = schema.get("pattern")
    if pattern is not None and not _compiled(pattern).search(value):
        words = PATTERN_WORDS.get(pattern, f"text that matches {pattern}")
        yield Problem(path, f'"{value}" must be {words}', ProblemKind.VALUE)
    elif schema.get("format") == "date" and not _is_date(value):
        yield Problem(path, f'"{value}" is no day of the calendar; write YYYY-MM-DD', ProblemKind.VALUE)


def _number_problems(schema: Schema, value: float, path: str) -> Iterator[Problem]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and value < low:
        yield Problem(path, f"{value} is too low; {low} is the least", ProblemKind.VALUE)
    if high is not None and value > high:
        yield Problem(path, f"{value} is too high; {high} is the most", ProblemKind.VALUE)


def _has_type(value: Any, wanted: str) -> bool:
    match wanted:
        case "string":
            return isinstance(value, str)
        case "integer":
            return _is_integer(value)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
    return isinstance(value, Mapping)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in INT64


def _type_message(wanted: str, value: Any) -> str:
    words = f"must be {TYPE_WORDS[wanted]}"
    if value is None:
        return f"{words}; it has no value"
    if wanted == "string" and isinstance(value, int | float):
        # YAML has lost whether it was written 1.0 or 1.00; nearly all such fields are amounts of money.
        whole = isinstance(value, float) and value.is_integer()
        return f'{words}: put quotes around it, as in "{f"{value:.2f}" if whole else str(value).lower()}"'
    found = next((TYPE_WORDS[name] for name in TYPE_WORDS if _has_type(value, name)), "something else")
    return f"{words}, not {found}"


def _is_date(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


@cache
def _compiled(pattern: str) -> "re.Pattern[str]":
    # In Go, `$` is the end of the text; in Python also the place before a last newline.
    return re.compile(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern)


def join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
