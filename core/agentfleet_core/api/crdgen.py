"""PURE but for `main`. The models of the four kinds to CustomResourceDefinitions: `python -m …crdgen crds`.

Kubernetes takes a part of JSON Schema, without references or unions ("structural"). What pydantic emits
beyond it is rewritten here; a keyword that this module does not know is an error, never dropped, so that no
constraint of a model is lost on the way. Optional fields are left out, not null: a rule's `has()` then
means what it says.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from agentfleet_core.api.declare import Column, Rule
from agentfleet_core.api.v1alpha1 import KINDS
from agentfleet_core.api.v1alpha1.base import GROUP, VERSION, Kind

Schema = dict[str, Any]

KEPT = (
    "type", "description", "default", "enum", "format", "pattern", "minimum", "maximum", "minLength",
    "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "required",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-int-or-string",
)  # fmt: skip
DROPPED = ("title", "$defs")
REWRITTEN = ("properties", "items", "additionalProperties", "const", "anyOf", "$ref", "x-rules")
HEADER = "# Generated from the models in core/agentfleet_core/api by `make generate`. Do not edit.\n"


class UnknownKeywordError(Exception):
    """A model uses a constraint that has no form in a structural schema."""


def crd(kind: type[Kind]) -> Schema:
    names = kind.NAMES
    subresources: Schema = {"status": {}}
    if names.scale is not None:
        subresources["scale"] = {
            "specReplicasPath": names.scale.spec_replicas,
            "statusReplicasPath": names.scale.status_replicas,
            "labelSelectorPath": names.scale.selector,
        }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.__name__,
                "listKind": f"{kind.__name__}List",
                "plural": names.plural,
                "singular": names.singular,
                "shortNames": [names.short],
                "categories": ["agentfleet"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": subresources,
                    "additionalPrinterColumns": [_column(column) for column in names.columns],
                    "schema": {"openAPIV3Schema": structural_schema(kind)},
                }
            ],
        },
    }


def structural_schema(kind: type[Kind]) -> Schema:
    """The kind's schema as the API server takes it; `validate` reads the same one."""
    source = kind.model_json_schema(by_alias=True, mode="validation")
    made = _rewrite(source, source.get("$defs", {}), kind.__name__)
    properties = made["properties"]
    name = properties["metadata"]["properties"]["name"]
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    # Of metadata a CRD may restrict the name alone.
    properties["metadata"] = {"type": "object", "properties": {"name": name}}
    properties["status"] = _without_defaults(properties["status"])
    made["required"] = ["spec"]
    return made


def _column(column: Column) -> Schema:
    made: Schema = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    if column.wide:
        made["priority"] = 1
    return made


def _rewrite(node: Mapping[str, Any], definitions: Mapping[str, Any], where: str) -> Schema:
    node = _resolved(node, definitions)
    unknown = set(node) - {*KEPT, *DROPPED, *REWRITTEN}
    if unknown:
        raise UnknownKeywordError(
            f"{where}: {', '.join(sorted(unknown))} cannot stand in a structural schema"
        )
    made: Schema = {key: node[key] for key in KEPT if key in node}
    if "const" in node:
        made["enum"] = [node["const"]]
    if node.get("x-kubernetes-int-or-string"):
        made.pop("type")
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if "items" in node:
        made["items"] = _rewrite(node["items"], definitions, f"{where}[]")
    if "properties" in node:
        made["properties"] = _properties(node, definitions, where)
    else:
        _rewrite_map(node, made, definitions, where)
    if "x-rules" in node:
        made["x-kubernetes-validations"] = [_validation(rule) for rule in node["x-rules"]]
    return made


def _resolved(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """References put in place, and `X or null` made X; what stands beside them wins (a field's own words)."""
    if "anyOf" in node:
        others = [option for option in node["anyOf"] if option != {"type": "null"}]
        if len(others) != 1 or len(others) == len(node["anyOf"]):
            raise UnknownKeywordError(
                f"a union of {len(node['anyOf'])} types cannot stand in a structural schema"
            )
        rest = {key: value for key, value in node.items() if key not in {"anyOf", "default"}}
        return _resolved({**others[0], **rest}, definitions)
    if "$ref" in node:
        target = definitions[node["$ref"].removeprefix("#/$defs/")]
        return _resolved(
            {**target, **{key: value for key, value in node.items() if key != "$ref"}}, definitions
        )
    return node


def _properties(node: Mapping[str, Any], definitions: Mapping[str, Any], where: str) -> Schema:
    required = node.get("required", ())
    made = {}
    for name, child in node["properties"].items():
        schema = _rewrite(child, definitions, f"{where}.{name}")
        # Neither required, nor a default, nor null: the model makes an empty one.
        if name not in required and "default" not in child and "anyOf" not in child:
            schema["default"] = [] if schema["type"] == "array" else _filled(schema)
        made[name] = schema
    return made


def _filled(schema: Schema) -> Schema:
    """An object of nothing but defaults, in full: the API server checks the rules of a default as it is
    written.
    """
    return {
        name: child["default"] for name, child in schema.get("properties", {}).items() if "default" in child
    }


def _rewrite_map(node: Mapping[str, Any], made: Schema, definitions: Mapping[str, Any], where: str) -> None:
    if node.get("type") != "object":
        return
    values = node.get("additionalProperties", True)
    if values is True:
        made["x-kubernetes-preserve-unknown-fields"] = True
    else:
        made["additionalProperties"] = _rewrite(values, definitions, f"{where}{{}}")


def _validation(rule: Rule) -> Schema:
    made = {
        "rule": rule.rule,
        "fieldPath": rule.field,
        "reason": rule.reason,
        "message": rule.message,
        "messageExpression": rule.message_expression,
    }
    return {key: value for key, value in made.items() if value}


def _without_defaults(node: Any) -> Any:
    """A status says what was observed: what was not is left out, not filled in."""
    if isinstance(node, dict):
        inner = node.get("properties")
        kept = {key: _without_defaults(value) for key, value in node.items() if key != "default"}
        if inner is not None:
            kept["properties"] = {name: _without_defaults(child) for name, child in inner.items()}
            required = [name for name in kept.get("required", ()) if name in inner]
            kept |= {"required": required} if required else {}
        return kept
    return [_without_defaults(one) for one in node] if isinstance(node, list) else node


class _Dumper(yaml.SafeDumper):
    """No anchors: a schema that is used twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def rendered(kind: type[Kind]) -> str:
    return HEADER + yaml.dump(crd(kind), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def main(arguments: Sequence[str]) -> None:
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        (folder / f"{kind.NAMES.plural}.yaml").write_text(rendered(kind), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
