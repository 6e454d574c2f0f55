"""PURE but for `main`. The reference of the four kinds, from the models: `python -m …reference FOLDER`."""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from agentfleet_core.api.conditions import ConditionType, Reason
from agentfleet_core.api.crdgen import structural_schema
from agentfleet_core.api.v1alpha1 import API_VERSION, KINDS
from agentfleet_core.api.v1alpha1.base import PATTERN_WORDS, Kind

HEAD = f"""# Reference: the four kinds

<!-- Generated from the models by `make generate`. Do not edit. -->

`apiVersion: {API_VERSION}`, namespaced; a namespace is a fleet of its own, and references stay inside it.
`kubectl get agentfleet` lists all kinds; `agentfleet validate -f DIR` checks manifests as the server does.
"""


def reference() -> str:
    parts = [HEAD]
    for kind in KINDS:
        parts += _kind(kind)
    parts += _words("Conditions", "What a condition speaks about.", ConditionType)
    parts += _words(
        "Reasons", "The planner's reasons are in `agentfleet why` and planner/reasons.py.", Reason
    )
    return "\n".join(parts).rstrip() + "\n"


def _kind(kind: type[Kind]) -> Iterator[str]:
    schema = structural_schema(kind)
    names = kind.NAMES
    yield f"## {kind.__name__}\n"
    columns = ", ".join(column.name.upper() for column in names.columns)
    yield f"{schema['description']} Short name `{names.short}`; columns {columns}.\n"
    for part in ("spec", "status"):
        yield f"### {kind.__name__} {part}\n"
        yield "| field | type | what it says |"
        yield "|---|---|---|"
        for path, node, required in _fields(schema["properties"][part], part):
            yield f"| `{path}` | {_type(node)} | {_cell(node, required)} |"
        yield ""
        rules = [*_rules(schema["properties"][part], part)]
        if rules:
            yield "Rules beyond the types:\n"
            yield from (f"- `{path}`: {message}" for path, message in rules)
            yield ""


def _fields(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    required = schema.get("required", ())
    for name, node in schema.get("properties", {}).items():
        where = f"{path}.{name}"
        yield where, node, name in required
        yield from _fields(node, where)
        yield from _fields(node.get("items", {}), f"{where}[]")


def _rules(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"{path}{rule['fieldPath']}", rule["message"]
    for name, node in schema.get("properties", {}).items():
        yield from _rules(node, f"{path}.{name}")
        yield from _rules(node.get("items", {}), f"{path}.{name}[]")


def _type(node: Mapping[str, Any]) -> str:
    if node.get("x-kubernetes-int-or-string"):
        return "quantity"
    if "enum" in node:
        return " or ".join(f"`{one}`" for one in node["enum"])
    if node["type"] == "array":
        return f"list of {_type(node['items'])}"
    if isinstance(node.get("additionalProperties"), Mapping):
        return f"map to {_type(node['additionalProperties'])}"
    return "any object" if node.get("x-kubernetes-preserve-unknown-fields") else str(node["type"])


def _cell(node: Mapping[str, Any], required: bool) -> str:
    words = [str(node.get("description", "")).replace("\n", " ").replace("|", "\\|")]
    if required:
        words.append("Required.")
    elif node.get("default") not in (None, {}, [], "") and not isinstance(node["default"], dict):
        words.append(
            f"Default `{str(node['default']).lower() if node['type'] == 'boolean' else node['default']}`."
        )
    words += _bounds(node)
    return " ".join(word for word in words if word)


def _bounds(node: Mapping[str, Any]) -> Iterator[str]:
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        yield f"{low} to {high}."
    elif low is not None:
        yield f"{low} or more."
    if "maxItems" in node:
        yield f"At most {node['maxItems']}."
    if node.get("pattern") in PATTERN_WORDS:
        yield f"{PATTERN_WORDS[node['pattern']][0].upper()}{PATTERN_WORDS[node['pattern']][1:]}."


def _words(title: str, intro: str, enum: type[ConditionType] | type[Reason]) -> Iterator[str]:
    yield f"## {title}\n\n{intro}\n"
    yield from (f"- `{word}`: {text}" for word, text in _said_of(enum))
    yield ""


def _said_of(enum: type[ConditionType] | type[Reason]) -> Iterator[tuple[str, str]]:
    """Each member with the docstring under it, which only the source still has."""
    (declared,) = ast.parse(inspect.getsource(enum)).body
    assert isinstance(declared, ast.ClassDef)  # noqa: S101 - it is the source of a class
    for member, text in pairwise(declared.body):
        match member, text:
            case ast.Assign(value=ast.Constant(value=str(word))), ast.Expr(
                value=ast.Constant(value=str(said))
            ):
                yield word, " ".join(said.split())


def main(arguments: Sequence[str]) -> None:
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "crds.md").write_text(reference(), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
