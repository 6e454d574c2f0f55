"""A provider that sends what a test wrote, byte by byte: what no well-behaved server does."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


@dataclass
class ScriptedProvider:
    answer: Callable[[int], bytes]
    """What the call of that number, from 1, is answered with."""
    holds_open: bool = False
    calls: list[str] = field(default_factory=list)
    """The request lines that came."""
    url: str = ""
    connections: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    called: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [
                    line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
                ]
                await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
                self.calls.append(head.split(b"\r\n")[0].decode())
                self.called.set()
                answer = self.answer(len(self.calls))
                writer.write(answer)
                await writer.drain()
                if self.holds_open:
                    await self.closed.wait()
                if not answer.endswith(END):
                    return
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def scripted_provider(
    answer: Callable[[int], bytes], *, holds_open: bool = False
) -> AsyncIterator[ScriptedProvider]:
    provider = ScriptedProvider(answer, holds_open)
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        provider.closed.set()
        server.close()
        await server.wait_closed()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def message(text: str = "hi", usage: dict[str, Any] | None = None) -> bytes:
    """The events of one whole message: five tokens in, three out."""
    start: dict[str, Any] = {
        "id": "m", "type": "message", "role": "assistant", "model": "claude-haiku-5-5", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1},
    }  # fmt: skip
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": usage or {"output_tokens": 3},
        },
        {"type": "message_stop"},
    ]
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    )


def last_word(kind: str, text: str) -> bytes:
    """An error inside a stream."""
    event = {"type": "error", "error": {"type": kind, "message": text}}
    return b"event: error\ndata: %s\n\n" % json.dumps(event).encode()


def too_many_requests(retry_after: str) -> bytes:
    return not_now("429 Too Many Requests", "rate_limit_error", retry_after)


def not_now(status: str, kind: str, retry_after: str) -> bytes:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": "slow down"}})
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n"
        f"retry-after: {retry_after}\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()
