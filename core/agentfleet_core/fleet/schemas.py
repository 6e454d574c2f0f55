"""PURE. Whether a user's JSON Schema can be used: it is one, and it refers to nothing outside itself."""

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

from agentfleet_core.errors import InvalidInput

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCES = ("$ref", "$dynamicRef")


def schema_problem(schema: Mapping[str, Any]) -> tuple[str, str] | None:
    """(path below the schema, sentence) of the first thing wrong, or None."""
    if str(schema.get("$schema", DIALECT)).rstrip("#") != DIALECT:
        return ".$schema", f"is read as {DIALECT}; write that, or leave it out"
    for path, reference in _references(schema, ""):
        if isinstance(reference, str) and not reference.startswith("#"):
            return path, f"refers to {reference!r}; a schema may refer only to itself: begin with #"
    try:
        jsonschema_rs.meta.validate(dict(schema))
        _compiled(schema)
    except jsonschema_rs.ValidationError as error:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
        return path, f"is no JSON Schema: {error.message}"
    except (jsonschema_rs.ReferencingError, ValueError) as error:
        return "", f"cannot be used as a JSON Schema: {error}"
    return None


def compiled_schema(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A validator that never fetches anything. Raises `InvalidInput` for what is no JSON Schema."""
    try:
        return _compiled(schema)
    except (jsonschema_rs.ReferencingError, ValueError) as error:
        sentence = str(error).splitlines()[0]
        raise InvalidInput(f"cannot be used as a JSON Schema: {sentence}") from error


def _compiled(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(dict(schema), offline=True)


def _references(node: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in REFERENCES:
                yield f"{path}.{key}", value
            elif key not in {"const", "enum", "default", "examples"}:
                yield from _references(value, f"{path}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _references(value, f"{path}[{index}]")
