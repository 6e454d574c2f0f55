"""PURE. A batch whose body is no JSON: which item it is, and the others read without it.

A valid body never comes here. Of one that is not, items are told apart by their brackets, strings and commas,
so that a number that JSON does not know, or bytes that are no UTF-8, refuse their own item alone.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from agentfleet_coordinator.requests import MAX_BATCH_BODY_BYTES, MalformedJson, parse_batch, parse_json

MAX_MARKS = 100_000
"""Brackets, commas and strings that are looked at: it holds up everyone else for some 50 ms at most."""

_HEAD = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"tasks"[ \t\r\n]*:[ \t\r\n]*\[')
_TAIL = re.compile(rb"[ \t\r\n]*\}[ \t\r\n]*")
_MARK = re.compile(rb'[^"\[\]{},]*+(?:("(?:[^"\\]++|\\.)*+")|([\[{])|([\]}])|(,)|("))', re.DOTALL)


def read_batch(body: bytes) -> Sequence[Any]:
    """The items; in place of one that is no JSON, the error that says so.

    Raises `MalformedJson`, naming the item where there is one, when the items cannot be told apart.
    """
    try:
        return parse_batch(parse_json(body))
    except MalformedJson as error:
        ends, whole = _items(body)
        if not whole:
            raise _located(error, ends) from error
        return parse_batch({"tasks": [_read(body[start:end]) for start, end in ends]})


def _read(item: bytes) -> Any:
    try:
        return parse_json(item, "the item")
    except MalformedJson as error:
        return error


def _items(body: bytes) -> tuple[list[tuple[int, int]], bool]:
    """Where items start and end, as far as that can be told; and whether it is the whole of the batch."""
    found: list[tuple[int, int]] = []
    head = _HEAD.match(body, 0, MAX_BATCH_BODY_BYTES)
    if head is None:
        return found, False
    start, depth = head.end(), 0
    for at, (_, opening, closing, comma, broken) in _marks(body, start):
        depth += bool(opening) - bool(closing)
        if broken or (depth < 0 and closing != b"]"):
            break
        if depth < 0 or (comma and depth == 0):
            found.append((start, at))
            start = at + 1
        if depth < 0:
            return found, _TAIL.fullmatch(body, at + 1) is not None
    return found, False


def _marks(body: bytes, start: int) -> Iterator[tuple[int, tuple[bytes, ...]]]:
    """Each mark's place and what it is."""
    for _ in range(MAX_MARKS):
        mark = _MARK.match(body, start)
        if mark is None:
            return
        yield mark.start(mark.lastindex or 0), mark.groups(b"")
        start = mark.end()


def _located(error: MalformedJson, items: Sequence[tuple[int, int]]) -> MalformedJson:
    if not items:
        return error
    return MalformedJson(
        f"{error}; tasks can be told apart up to byte {items[-1][1]:,}: look at tasks[{len(items)}]",
        field=f"tasks[{len(items)}]",
    )
