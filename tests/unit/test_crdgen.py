"""The CRDs say what the models say: the same fields, defaults and bounds, as Kubernetes takes them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import Field

from agentfleet_core.api.cel import rule_problems
from agentfleet_core.api.crdgen import UnknownKeywordError, crd, rendered, structural_schema
from agentfleet_core.api.reference import reference
from agentfleet_core.api.structural import with_defaults
from agentfleet_core.api.v1alpha1 import KINDS
from agentfleet_core.api.v1alpha1.base import Kind, ObjectMeta, Resource

ROOT = Path(__file__).resolve().parents[2]
REFUSED = {"$ref", "$defs", "title", "const", "exclusiveMinimum", "uniqueItems", "prefixItems", "x-rules"}


def nodes(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a schema."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from nodes(schema[word], f"{path}.{word}")


def filled(schema: dict[str, Any]) -> Any:
    return with_defaults(schema, schema["default"]) if "default" in schema else None


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_is_structural(kind: type[Kind]) -> None:
    for path, node in nodes(structural_schema(kind)):
        assert not REFUSED & set(node), path
        typed = "type" in node or node.get("x-kubernetes-int-or-string")
        assert typed, f"{path} has no type"
        assert not ("additionalProperties" in node and "properties" in node), path


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_a_word_of_explanation(kind: type[Kind]) -> None:
    schema = structural_schema(kind)
    unsaid = [
        f"{path}.{name}"
        for path, node in nodes(schema["properties"]["spec"], "spec")
        for name, child in node.get("properties", {}).items()
        if not child.get("description")
    ]
    assert unsaid == []


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_those_of_the_model(kind: type[Kind]) -> None:
    schema = structural_schema(kind)["properties"]["spec"]
    fields = kind.model_fields["spec"].annotation
    assert fields is not None
    assert issubclass(fields, Resource)
    for name, field in fields.model_fields.items():
        node = schema["properties"][field.alias or name]
        default = field.get_default(call_default_factory=True) if not field.is_required() else None
        made = (
            default.model_dump(mode="json", by_alias=True, exclude_none=True)
            if isinstance(default, Resource)
            else default
        )
        assert filled(node) == made, f"{kind.__name__}.spec.{field.alias}"


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_keep_the_rules(kind: type[Kind]) -> None:
    for path, node in nodes(structural_schema(kind)):
        if isinstance(node.get("default"), dict):
            assert [*rule_problems(node, filled(node), None, path)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_lists_and_texts_that_rules_visit_are_bounded(kind: type[Kind]) -> None:
    """Or the rules exceed the API server's cost limit."""
    for path, node in nodes(structural_schema(kind)["properties"]["spec"], "spec"):
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if node.get("type") == "string" and "enum" not in node:
            assert "maxLength" in node, path


@pytest.mark.parametrize("kind", KINDS)
def test_the_generated_files_are_those_of_the_models(kind: type[Kind]) -> None:
    file = ROOT / "crds" / f"{kind.NAMES.plural}.yaml"
    assert file.read_text() == rendered(kind), "run `make generate` and commit the result"
    assert yaml.safe_load(rendered(kind)) == crd(kind)


def test_the_reference_is_that_of_the_models() -> None:
    assert (ROOT / "docs" / "reference" / "crds.md").read_text() == reference(), "run `make generate`"


class Ruler(Resource):
    """Uses a bound that has no form in a structural schema."""

    steps: int = Field(1, multiple_of=2)


class Odd(Kind):
    """A kind that cannot become a CRD."""

    metadata: ObjectMeta
    spec: Ruler
    status: Ruler = Field(default_factory=Ruler)


class Undecided(Kind):
    """A field of two types."""

    metadata: ObjectMeta
    spec: int | Literal["all"]
    status: Ruler = Field(default_factory=Ruler)


def test_a_bound_that_would_be_lost_is_an_error() -> None:
    with pytest.raises(UnknownKeywordError, match=r"Odd\.spec\.steps: multipleOf"):
        structural_schema(Odd)


def test_a_union_is_an_error() -> None:
    with pytest.raises(UnknownKeywordError, match="union"):
        structural_schema(Undecided)
