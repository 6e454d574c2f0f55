"""A batch that is no JSON: what is wrong with one item costs no other its answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentfleet_coordinator.batch_frame import read_batch
from agentfleet_coordinator.requests import MalformedJson
from agentfleet_core.errors import InvalidRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)
BROKEN = [b"NaN", b'{"n":1e999}', b"9" * 30, b'"\xff"', b'["\\ud800"]', b"{1:2}", b"", b" ", b"tru"]


def batch(*items: bytes) -> bytes:
    return b' {"tasks" : [' + b", ".join(items) + b"]}\n"


@given(before=st.lists(JSON, max_size=5), broken=st.sampled_from(BROKEN), after=st.lists(JSON, max_size=5))
def test_one_broken_item_is_told_from_all_others(before: list[Any], broken: bytes, after: list[Any]) -> None:
    items = [json.dumps(item).encode() for item in before]
    more = [json.dumps(item, ensure_ascii=False, indent=1).encode() for item in after]
    if broken.strip() or before or after:  # an empty list has no item
        read = read_batch(batch(*items, broken, *more))
        assert isinstance(read[len(before)], MalformedJson)
        assert [*read[: len(before)], *read[len(before) + 1 :]] == before + after


@given(items=st.lists(JSON, min_size=1, max_size=5))
def test_a_batch_that_is_json_is_read_as_json(items: list[Any]) -> None:
    assert read_batch(batch(*[json.dumps(item).encode() for item in items])) == items


@pytest.mark.parametrize(
    ("body", "item"),
    [
        (batch(b"{}", b'{"a": [1}', b"{}"), "tasks[1]"),
        (batch(b"{}", b"{}", b'{"a": "unended}'), "tasks[2]"),
        (batch(b"{}", b"{}")[:-3], "tasks[1]"),
        (b'{"tasks": [{}, 5}', "tasks[1]"),
    ],
)
def test_where_items_cannot_be_told_apart_the_first_bad_one_is_named(body: bytes, item: str) -> None:
    with pytest.raises(MalformedJson) as caught:
        read_batch(body)
    assert caught.value.field == item
    assert f"look at {item}" in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"tasks": 5, NaN}', b'{"tasks": [}', b"[NaN]"])
def test_what_is_no_batch_is_refused_whole(body: bytes) -> None:
    with pytest.raises(MalformedJson, match="the body is not JSON"):
        read_batch(body)


def test_the_limits_of_a_batch_hold_for_a_broken_one_too() -> None:
    with pytest.raises(InvalidRequest, match="1 to 1,000 tasks, this one 1,001"):
        read_batch(batch(*[b"NaN"] * 1_001))


@pytest.mark.parametrize("more", [b"x", b"{}", b',"more": 5}', batch(b"5")])
def test_what_follows_a_batch_refuses_it_whole(more: bytes) -> None:
    with pytest.raises(MalformedJson, match="the body is not JSON"):
        read_batch(batch(b"{}", b"NaN") + more)


def test_only_so_much_is_looked_at() -> None:
    long = b"[" + b"1," * 99_990 + b"1]"
    [_, error] = read_batch(batch(long, b"NaN"))
    assert isinstance(error, MalformedJson)
    with pytest.raises(MalformedJson, match="look at tasks"):
        read_batch(batch(long, b"[" + b"1," * 20 + b"1]", b"NaN"))
