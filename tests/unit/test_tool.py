"""A tool's schema comes from its signature, and its arguments are checked against it."""

import threading
from typing import Annotated, Literal

import pytest
from pydantic import Field

from agentfleet import TaskContext, Tool, tool
from agentfleet.tools import call_function
from agentfleet_core.errors import InvalidInput


@tool
async def lookup_order(
    order: str, depth: Annotated[int, Field(ge=1, description="levels")] = 1
) -> dict[str, str]:
    """Find an order by its number.

    Orders older than a year are in the archive.
    """
    return {"order": order, "depth": str(depth)}


def test_the_schema_and_the_description_come_from_the_function() -> None:
    assert lookup_order.name == "lookup_order"
    assert lookup_order.description.startswith("Find an order by its number.\n\nOrders older")
    assert lookup_order.input_schema == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "order": {"type": "string"},
            "depth": {"type": "integer", "minimum": 1, "default": 1, "description": "levels"},
        },
        "required": ["order"],
    }


async def test_a_tool_is_still_the_function_it_was() -> None:
    assert await lookup_order("A-1") == {"order": "A-1", "depth": "1"}
    assert await lookup_order.bind({"order": "A-1", "depth": "2"})() == {"order": "A-1", "depth": "2"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "order: Field required"),
        ({"order": 3}, "order: Input should be a valid string"),
        ({"order": "A", "depth": 0}, "depth: Input should be greater than or equal to 1"),
        ({"order": "A", "colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        lookup_order.bind(arguments)


def test_the_context_is_given_and_not_part_of_the_schema() -> None:
    @tool(name="close")
    def close_order(
        context: TaskContext, order: str, how: Literal["refund", "replace"]
    ) -> tuple[object, str]:
        return context, order + how

    assert isinstance(close_order, Tool)
    assert close_order.name == "close"
    assert sorted(close_order.input_schema["properties"]) == ["how", "order"]
    marker: object = object()
    assert close_order.bind({"order": "A", "how": "refund"}, marker)() == (marker, "Arefund")  # type: ignore[arg-type]


def test_a_signature_that_gives_no_schema_is_refused() -> None:
    def untyped(order):  # type: ignore[no-untyped-def]
        return order

    def starred(*orders: str) -> None: ...

    with pytest.raises(InvalidInput, match="parameter order has no type"):
        tool(untyped)
    with pytest.raises(InvalidInput, match="parameter orders must be one that can be given by name"):
        tool(starred)


async def test_what_is_not_a_coroutine_runs_in_a_thread() -> None:
    def where() -> int:
        return threading.get_ident()

    async def here() -> int:
        return threading.get_ident()

    assert await call_function(where) != threading.get_ident()
    assert await call_function(here) == threading.get_ident()
    assert await call_function(tool(here)) == threading.get_ident()


async def test_a_function_that_returns_a_coroutine_is_awaited() -> None:
    async def here(value: int) -> int:
        return value

    assert await call_function(lambda: 3) == 3
    assert await call_function(lambda: here(4)) == 4
