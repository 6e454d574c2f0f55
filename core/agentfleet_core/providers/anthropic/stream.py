"""PURE. A Messages API stream, read to the message that it builds; and back, to replay a journaled message.

Every call streams on the wire, so this runs for each event of each call: it keeps to plain dictionaries.
What the provider adds later passes through: unknown events are skipped, unknown blocks kept, and a delta of
an unknown kind extends the block's field of the same name.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from agentfleet_core.providers.anthropic.usage import merged
from agentfleet_core.providers.port import StreamError

_TEXTS = {"text_delta": "text", "thinking_delta": "thinking"}


class StreamReader:
    """Feed it the bytes as they come. `complete` once the message is whole and its usage final."""

    def __init__(self) -> None:
        self.message: dict[str, Any] | None = None
        self.complete = False
        self._rest = b""
        self._after_cr = False
        self._data: list[bytes] = []
        self._partial: dict[int, list[str]] = {}
        self._texts: dict[int, list[str]] = {}

    def feed(self, data: bytes) -> str:
        """The new text that these bytes brought. Raises `StreamError` for an `error` event or broken
        framing.

        As the SSE specification has it, lines end in LF, CRLF or CR, and an event counts once the blank line
        after it has come: whoever reads on from our bytes sees no event before that either.
        """
        text: list[str] = []
        for line in self._lines(data):
            if line.startswith(b"data:"):
                self._data.append(line[5:])
            elif not line and self._data:
                event, self._data = b"\n".join(self._data), []
                self._take(_parsed(event), text)
        return "".join(text)

    def _lines(self, data: bytes) -> list[bytes]:
        """The lines that these bytes ended."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        if not data:
            return []
        self._after_cr = data.endswith(b"\r")
        lines = (self._rest + data).splitlines()
        self._rest = b"" if self._after_cr or data.endswith(b"\n") else lines.pop()
        return lines

    @property
    def usage(self) -> Mapping[str, Any]:
        """As far as it was told; final once `complete`."""
        return self.message["usage"] if self.message is not None else {}

    def _take(self, event: dict[str, Any], text: list[str]) -> None:
        match event.get("type"):
            case "content_block_delta":
                self._add(event, text)
            case "message_start":
                self.message = {**event["message"], "content": []}
            case "content_block_start":
                self._content.append(event["content_block"])
            case "content_block_stop":
                self._close(event["index"])
            case "message_delta" if self.message is not None:
                self.message.update(
                    {name: value for name, value in event["delta"].items() if value is not None}
                )
                self.message["usage"] = merged(self.message.get("usage") or {}, event.get("usage") or {})
            case "message_stop":
                self.complete = self.message is not None
            case "error":
                error = event.get("error") or {}
                raise StreamError(
                    str(error.get("type", "api_error")), str(error.get("message", "no message"))
                )

    def _add(self, event: dict[str, Any], text: list[str]) -> None:
        delta, index = event["delta"], event["index"]
        kind = delta["type"]
        if kind == "text_delta":
            text.append(delta["text"])
        if kind in _TEXTS:
            self._texts.setdefault(index, []).append(delta[_TEXTS[kind]])
        elif kind == "input_json_delta":
            self._partial.setdefault(index, []).append(delta["partial_json"])
        elif kind == "citations_delta":
            block = self._content[index]
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
        else:
            _extend(self._content[index], delta)

    def _close(self, index: int) -> None:
        block = self._content[index]
        if index in self._texts:
            name = "thinking" if block["type"] == "thinking" else "text"
            block[name] = block.get(name, "") + "".join(self._texts.pop(index))
        if index in self._partial:
            written = "".join(self._partial.pop(index))
            # A call cut by max_tokens may end inside its arguments; they are kept as they were written.
            block["input"] = _read_arguments(written)

    @property
    def _content(self) -> list[dict[str, Any]]:
        if self.message is None:
            raise StreamError("api_error", "the stream has content before message_start")
        content: list[dict[str, Any]] = self.message["content"]
        return content


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise StreamError("api_error", f"the stream holds what is no JSON: {error}") from error
    if not isinstance(event, dict):
        raise StreamError("api_error", "the stream holds an event that is no object")
    return event


def _extend(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        if name != "type":
            before = block.get(name)
            block[name] = before + value if isinstance(before, str) and isinstance(value, str) else value


def _read_arguments(written: str) -> Any:
    if not written:
        return {}
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError:
        return {"_unreadable": written}


def as_stream(message: Mapping[str, Any]) -> Iterator[bytes]:
    """The events that build `message` again, for a caller that wants a stream of what is journaled."""
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    yield _event("message_start", message=start)
    for index, block in enumerate(message["content"]):
        empty, deltas = _taken_apart(block)
        yield _event("content_block_start", index=index, content_block=empty)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    delta = {
        name: message.get(name) for name in ("stop_reason", "stop_sequence", "stop_details", "container")
    }
    yield _event("message_delta", delta=delta, usage=message.get("usage") or {"output_tokens": 0})
    yield _event("message_stop")


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


def _taken_apart(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    empty = dict(block)
    match block["type"]:
        case "text":
            empty["text"] = ""
            deltas = [{"type": "text_delta", "text": block["text"]}]
            if empty.get("citations"):
                empty["citations"] = None
                deltas += [{"type": "citations_delta", "citation": each} for each in block["citations"]]
            return empty, deltas
        case "thinking":
            empty |= {"thinking": "", "signature": ""}
            return empty, [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        case "tool_use" | "server_tool_use":
            empty["input"] = {}
            return empty, [
                {"type": "input_json_delta", "partial_json": orjson.dumps(block["input"]).decode()}
            ]
    return empty, []
