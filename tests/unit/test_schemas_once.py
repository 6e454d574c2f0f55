"""A user's JSON Schema means the same to whoever compiles it, and never makes anybody fetch anything."""

import pytest

from agentfleet_core.errors import InvalidInput
from agentfleet_core.fleet.schemas import compiled_schema
from agentfleet_worker.running.schemas import problems_of


def test_a_schema_is_compiled_without_the_network() -> None:
    elsewhere = {"$ref": "https://example.com/order.json"}
    with pytest.raises(InvalidInput, match="cannot be used as a JSON Schema"):
        compiled_schema(elsewhere)
    with pytest.raises(InvalidInput, match="outputSchema cannot be used as a JSON Schema") as refused:
        problems_of(elsewhere, {})
    assert refused.value.field == "spec.outputSchema"


def test_a_schema_is_draft_2020_12_whatever_it_says_of_itself() -> None:
    pair = {"$schema": "http://json-schema.org/draft-07/schema#", "prefixItems": [{"type": "integer"}]}
    assert not compiled_schema(pair).is_valid(["one"])


def test_a_value_is_held_to_its_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    assert problems_of(schema, {"n": 1}) == ""
    assert problems_of(schema, {"n": "1"}) == 'n: "1" is not of type "integer"'
