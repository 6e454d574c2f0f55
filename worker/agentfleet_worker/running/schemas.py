"""Checks results against a TaskType's outputSchema. A validator is compiled once for each schema."""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import orjson

from agentfleet_core.errors import InvalidInput
from agentfleet_core.fleet.schemas import compiled_schema

MAX_PROBLEMS = 5
_MOST_KEPT = 1_000

_compiled: dict[bytes, jsonschema_rs.Draft202012Validator] = {}


def problems_of(schema: Mapping[str, Any], value: Any) -> str:
    """What is wrong with the value, in a sentence; empty when nothing is. Raises `InvalidInput` for a bad
    schema.
    """
    validator = _validator(schema)
    if validator.is_valid(value):
        return ""
    found: list[str] = []
    for error in validator.iter_errors(value):
        if len(found) == MAX_PROBLEMS:
            found.append("and more")
            break
        place = ".".join(str(part) for part in error.instance_path)
        found.append(f"{place}: {error.message}" if place else error.message)
    return "; ".join(found)


def _validator(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    text = orjson.dumps(schema)
    validator = _compiled.get(text)
    if validator is None:
        try:
            validator = compiled_schema(schema)
        except InvalidInput as error:
            raise InvalidInput(f"outputSchema {error}", field="spec.outputSchema") from error
        if len(_compiled) >= _MOST_KEPT:
            _compiled.clear()
        _compiled[text] = validator
    return validator
