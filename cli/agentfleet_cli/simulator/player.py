"""Plays one decided answer: writes at their moments, faults where they strike, the bill at the end."""

import asyncio
from typing import Protocol

from agentfleet_cli.simulator.answer import Answer
from agentfleet_cli.simulator.bill import BilledCall
from agentfleet_cli.simulator.errors import ApiError
from agentfleet_cli.simulator.render import Chunk, error_chunk
from agentfleet_cli.simulator.wire import Exchange

STREAM_TYPE = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
JSON_TYPE = {"content-type": "application/json"}


class Billing(Protocol):
    def close(self, call: BilledCall, produced: int, *, whole: bool) -> None:
        """Bill what has left."""
        ...


class Player:
    """One answer. Times are of the event loop's clock, absolute, so that late wake-ups do not add up."""

    __slots__ = (
        "_answer",
        "_billing",
        "_breaks_at",
        "_call",
        "_chunks",
        "_end",
        "_exchange",
        "_headers",
        "_next",
        "_start",
        "_timer",
    )

    def __init__(
        self,
        billing: Billing,
        exchange: Exchange,
        call: BilledCall,
        answer: Answer,
        headers: dict[str, str],
    ) -> None:
        self._billing = billing
        self._exchange = exchange
        self._call = call
        self._answer = answer
        self._headers = headers
        self._chunks: list[Chunk] = []
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        exchange.on_gone = self._gone

    def stream(self, chunks: list[Chunk], now_seconds: float) -> None:
        self._chunks = chunks
        self._breaks_at = max(1, len(chunks) // 2) if self._answer.fault in ("cut", "event") else -1
        self._start = now_seconds + self._answer.first_token_seconds
        self._end = now_seconds + self._answer.seconds
        self._timer = asyncio.get_running_loop().call_at(self._start, self._write)

    def _write(self) -> None:
        number = self._next
        if number == self._breaks_at:
            self._break()
            return
        chunk = self._chunks[number]
        if number == 0:
            self._exchange.begin(200, {**STREAM_TYPE, **self._headers}, chunk.data)
        else:
            self._exchange.send(chunk.data)
        self._next = number + 1
        last = len(self._chunks) - 1
        if number == last:
            self._billing.close(self._call, chunk.output_tokens, whole=True)
            self._exchange.finish()
            return
        due = self._start + (self._end - self._start) * (number + 1) / last
        self._timer = asyncio.get_running_loop().call_at(due, self._write)

    def _break(self) -> None:
        self._billing.close(self._call, self._produced(), whole=False)
        if self._answer.fault == "cut":
            self._exchange.abort()
            return
        self._exchange.send(error_chunk(ApiError(529).body(self._call.request_id)))
        self._exchange.finish()

    def whole(self, body: bytes, now_seconds: float) -> None:
        """One JSON answer at the end; both stream faults break the connection instead."""
        self._start = now_seconds
        self._end = now_seconds + self._answer.seconds
        self._timer = asyncio.get_running_loop().call_at(self._end, self._answer_whole, body)

    def _answer_whole(self, body: bytes) -> None:
        if self._answer.fault:
            self._billing.close(self._call, self._answer.output_tokens, whole=False)
            self._exchange.abort()
            return
        self._billing.close(self._call, self._answer.output_tokens, whole=True)
        self._exchange.respond(200, {**JSON_TYPE, **self._headers}, body)

    def _produced(self) -> int:
        """Output tokens by now: those streamed, or the share of time that has passed."""
        if self._chunks:
            return self._chunks[self._next - 1].output_tokens if self._next else 0
        passed = (asyncio.get_running_loop().time() - self._start) / max(self._end - self._start, 1e-9)
        return int(self._answer.output_tokens * min(1.0, passed))

    def _gone(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._billing.close(self._call, self._produced(), whole=False)
