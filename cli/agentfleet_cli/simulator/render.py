"""PURE. An answer as the bytes that travel: a JSON message, or an event stream's chunks rendered ahead.

A chunk is what one wake-up writes; its output tokens are what a client that leaves after it has got.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson

from agentfleet_cli.simulator.answer import Answer, Block
from agentfleet_cli.simulator.models import Usage
from agentfleet_cli.simulator.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Chunk:
    data: bytes
    """Framed for HTTP's chunked encoding."""
    output_tokens: int
    """Produced once this chunk has left."""


def usage_json(usage: Usage, answer: Answer | None = None, *, tier: str = "standard") -> dict[str, Any]:
    """As in a message; without an answer, as in `message_start`."""
    found: dict[str, Any] = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": answer.output_tokens if answer else 1,
        "service_tier": tier,
    }
    if answer and answer.thinking_tokens:
        found["output_tokens_details"] = {"thinking_tokens": answer.thinking_tokens}
    return found


def message_json(
    message_id: str, prompt: Prompt, answer: Answer, usage: Usage, *, tier: str = "standard"
) -> dict[str, Any]:
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": prompt.model.name,
        "content": [_content(block) for block in answer.blocks],
        "stop_reason": answer.stop_reason,
        "stop_sequence": answer.stop_sequence,
        "stop_details": _stop_details(answer),
        "usage": usage_json(usage, answer, tier=tier),
    }


def stream_chunks(message_id: str, prompt: Prompt, answer: Answer, usage: Usage) -> list[Chunk]:
    """The first opens the message, the last closes it; between them one delta each."""
    opening = _event(
        "message_start",
        {
            "type": "message_start",
            "message": {
                **message_json(message_id, prompt, replace(answer, blocks=()), usage),
                "stop_reason": None,
                "stop_sequence": None,
                "stop_details": None,
                "usage": usage_json(usage),
            },
        },
    )
    pending = opening
    chunks: list[Chunk] = []
    done = 0
    total = answer.output_tokens
    for index, block in enumerate(answer.blocks):
        pending += _event(
            "content_block_start",
            {"type": "content_block_start", "index": index, "content_block": _empty(block)},
        )
        if index == 0:
            pending += _event("ping", {"type": "ping"})
        share = max(1, round(answer.events * block.tokens / total))
        for delta, tokens in _deltas(block, share):
            done += tokens
            pending += _event(
                "content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}
            )
            chunks.append(Chunk(_framed(pending), done))
            pending = b""
        pending += _event("content_block_stop", {"type": "content_block_stop", "index": index})
    pending += _closing(answer, usage)
    chunks.append(Chunk(_framed(pending) + b"0\r\n\r\n", total))
    return chunks


def error_chunk(body: dict[str, object]) -> bytes:
    """An error inside a stream that had begun."""
    return _framed(_event("error", body)) + b"0\r\n\r\n"


def _closing(answer: Answer, usage: Usage) -> bytes:
    totals = usage_json(usage, answer)
    del totals["service_tier"], totals["cache_creation"]
    delta = {
        "stop_reason": answer.stop_reason,
        "stop_sequence": answer.stop_sequence,
        "stop_details": _stop_details(answer),
    }
    return _event("message_delta", {"type": "message_delta", "delta": delta, "usage": totals}) + _event(
        "message_stop", {"type": "message_stop"}
    )


def _deltas(block: Block, count: int) -> Iterator[tuple[dict[str, str], int]]:
    """The block's deltas, each with the tokens it brings; a signature comes last and costs nothing."""
    kind, field = {
        "text": ("text_delta", "text"),
        "thinking": ("thinking_delta", "thinking"),
        "tool_use": ("input_json_delta", "partial_json"),
    }[block.kind]
    if block.text:
        pieces = min(count, len(block.text))
        for number in range(pieces):
            start, end = len(block.text) * number // pieces, len(block.text) * (number + 1) // pieces
            tokens = block.tokens * (number + 1) // pieces - block.tokens * number // pieces
            yield {"type": kind, field: block.text[start:end]}, tokens
    if block.signature:
        yield {"type": "signature_delta", "signature": block.signature}, 0 if block.text else block.tokens


def _content(block: Block) -> dict[str, Any]:
    match block.kind:
        case "thinking":
            return {"type": "thinking", "thinking": block.text, "signature": block.signature}
        case "tool_use":
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": orjson.loads(block.text)}
    return {"type": "text", "text": block.text, "citations": None}


def _empty(block: Block) -> dict[str, Any]:
    match block.kind:
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "tool_use":
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}
    return {"type": "text", "text": ""}


def _stop_details(answer: Answer) -> dict[str, Any] | None:
    if answer.stop_reason != "refusal":
        return None
    return {"type": "refusal", "category": None, "explanation": None}


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
