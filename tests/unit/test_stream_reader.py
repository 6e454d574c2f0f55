"""A stream's events build the message that the SDK would have built, however the bytes are cut."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentfleet_core.providers.anthropic.stream import StreamReader, as_stream
from agentfleet_core.providers.port import StreamError

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-5-5",
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 34, "cache_read_input_tokens": 5},
    "content": [
        {"type": "thinking", "thinking": "Which order?\nA-1.", "signature": "c2ln"},
        {"type": "text", "text": "Let me look – «A-1»."},
        {"type": "tool_use", "id": "toolu_1", "name": "lookup_order", "input": {"order": "A-1", "depth": 2}},
        {"type": "a_block_of_next_year", "payload": [1, 2]},
    ],
}


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def stream() -> Iterator[bytes]:
    yield event(
        "message_start",
        message={
            **MESSAGE,
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 12, "output_tokens": 1},
        },
    )
    yield event("ping")
    yield event(
        "content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}
    )
    yield event(
        "content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Which order?\n"}
    )
    yield event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "A-1."})
    yield event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "c2ln"})
    yield event("content_block_stop", index=0)
    yield event("content_block_start", index=1, content_block={"type": "text", "text": ""})
    yield event("content_block_delta", index=1, delta={"type": "text_delta", "text": "Let me look "})
    yield event("content_block_delta", index=1, delta={"type": "text_delta", "text": "– «A-1»."})
    yield event("content_block_stop", index=1)
    yield event("content_block_start", index=2, content_block={**MESSAGE["content"][2], "input": {}})
    yield event(
        "content_block_delta", index=2, delta={"type": "input_json_delta", "partial_json": '{"order": "A'}
    )
    yield event(
        "content_block_delta", index=2, delta={"type": "input_json_delta", "partial_json": '-1", "depth": 2}'}
    )
    yield event("content_block_stop", index=2)
    yield event("content_block_start", index=3, content_block=MESSAGE["content"][3])
    yield event("content_block_stop", index=3)
    yield event("an_event_of_next_year", news=True)
    yield event(
        "message_delta",
        delta={"stop_reason": "tool_use", "stop_sequence": None},
        usage={"output_tokens": 34, "cache_read_input_tokens": 5},
    )
    yield event("message_stop")


@given(cuts=st.lists(st.integers(0, 3_000), max_size=30), line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]))
@example(cuts=[len(b"".join(stream())) - 1], line_end=b"\n")
def test_the_message_is_the_same_however_the_bytes_are_cut(cuts: list[int], line_end: bytes) -> None:
    data = b"".join(stream()).replace(b"\n", line_end)
    if line_end == b"\r\n":
        data = data[:-1]  # whether an LF follows is open after each CR; the line has ended either way
    reader, text, at = StreamReader(), "", 0
    for end in [*sorted(cut for cut in cuts if cut < len(data)), len(data)]:
        assert not reader.complete
        text += reader.feed(data[at:end])
        at = end
    assert reader.complete
    assert reader.message == MESSAGE
    assert text == "Let me look – «A-1»."


def test_data_may_come_in_several_lines_and_comments_between() -> None:
    reader = StreamReader()
    [start] = [part for part in stream() if b"message_start" in part]
    reader.feed(start.replace(b'{"type"', b'{\n: still here\ndata: "type"', 1))
    assert reader.message is not None
    assert reader.message["id"] == "msg_1"


def test_usage_grows_until_it_is_final() -> None:
    reader, parts = StreamReader(), list(stream())
    reader.feed(parts[0])
    assert reader.usage == {"input_tokens": 12, "output_tokens": 1}
    reader.feed(b"".join(parts[1:]))
    assert reader.usage == MESSAGE["usage"]


def test_a_journaled_message_streams_again_as_itself() -> None:
    reader = StreamReader()
    for part in as_stream(MESSAGE):
        reader.feed(part)
    again = {name: value for name, value in (reader.message or {}).items() if value is not None}
    assert again == {name: value for name, value in MESSAGE.items() if value is not None}


def test_arguments_that_were_cut_are_kept_as_written() -> None:
    reader = StreamReader()
    parts = list(stream())
    reader.feed(b"".join([parts[0], *parts[11:13], parts[14]]).replace(b'"index": 2', b'"index": 0'))
    assert reader.message is not None
    assert reader.message["content"][0]["input"] == {"_unreadable": '{"order": "A'}


def test_a_delta_of_an_unknown_kind_extends_its_block() -> None:
    reader = StreamReader()
    reader.feed(next(stream()))
    reader.feed(event("content_block_start", index=0, content_block={"type": "summary", "summary": "a"}))
    reader.feed(event("content_block_delta", index=0, delta={"type": "summary_delta", "summary": "b"}))
    assert reader.message is not None
    assert reader.message["content"] == [{"type": "summary", "summary": "ab"}]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (event("error", error={"type": "overloaded_error", "message": "Overloaded"}), "overloaded_error"),
        (b"data: {broken\n\n", "api_error"),
        (b"data: [1]\n\n", "api_error"),
        (event("content_block_start", index=0, content_block={"type": "text", "text": ""}), "api_error"),
    ],
)
def test_a_stream_that_breaks_says_how(data: bytes, kind: str) -> None:
    with pytest.raises(StreamError) as caught:
        StreamReader().feed(data)
    assert caught.value.kind == kind
