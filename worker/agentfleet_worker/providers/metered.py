"""The one metered transport: every paid call of whatever library passes here, below the SDK.

Route, reserve the worst case, pace, mark sent, send (streamed on the wire, identity encoding, even where
the caller wants JSON), read the usage from the stream, settle and journal; only then the caller gets its
answer. Each try reserves anew; a try that is cut before its final usage is charged at its worst case.
Forbidden: any way to the provider that does not come through here.
"""

import asyncio
import hashlib
import random
import re
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import orjson

from agentfleet_core.errors import CostUnknown, InvalidInput
from agentfleet_core.providers.anthropic.bounds import token_bound, worst_cost
from agentfleet_core.providers.anthropic.errors import classify
from agentfleet_core.providers.anthropic.stream import as_stream
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.queue.step import StepRecord
from agentfleet_core.resilience.backoff import backoff_seconds
from agentfleet_core.resilience.verdict import Retry
from agentfleet_worker.call import Call, PaidCall, Payer, Target
from agentfleet_worker.context import CALL, CURRENT
from agentfleet_worker.outcomes import AttemptStopped, fail
from agentfleet_worker.providers.routes import Routes
from agentfleet_worker.providers.tries import Broken, MeteredTry, TryServices

MESSAGES = "/v1/messages"
FREE = re.compile(r"POST /v1/messages/count_tokens|GET /v1/models(/(?!\.{1,2}$)[A-Za-z0-9._~:@-]+)?")
"""Calls that the provider does not bill: sent with the tier's key, not journaled. Matched whole, on the path
as it is sent: an escape could mean another path to whoever stands between.
"""

_NOT_PASSED_ON = frozenset(
    {b"host", b"content-length", b"accept-encoding", b"authorization", b"x-api-key", b"accept", b"connection"}
)


class MeteredTransport(httpx2.AsyncBaseTransport):
    def __init__(self, routes: Routes, tries: TryServices) -> None:
        self._routes = routes
        self._tries = tries

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        payer = CURRENT.get(None)
        if payer is None:
            return _refusal(
                400, "invalid_request_error", "a paid call outside of a task has nobody who pays for it"
            )
        path = request.url.path
        if request.method == "POST" and path == MESSAGES:
            return await self._message(payer, request)
        sent_path = request.url.raw_path.partition(b"?")[0].decode()
        if FREE.fullmatch(f"{request.method} {sent_path}"):
            return await self._free(payer, request)
        return _refusal(
            400, "invalid_request_error", f"what {request.method} {path} costs is unknown: not sent"
        )

    async def aclose(self) -> None:
        await self._tries.wire.aclose()

    async def _message(self, payer: Payer, request: httpx2.Request) -> httpx2.Response:
        body = orjson.loads(await request.aread())
        streams = body.get("stream") is True
        own = CALL.get()
        call = own or Call(payer.key_of(_fingerprint(body)), "client", None)
        recorded = payer.recorded(call.key)
        if recorded is not None:
            call.record = recorded
            return _response(recorded, streams)
        payer.running.check_journal()
        try:
            paid = self._prepared(payer, call, body, request)
        except InvalidInput as error:
            if own is None:
                return _refusal(400, "invalid_request_error", str(error))
            reason = (
                AttemptReason.COST_UNKNOWN
                if isinstance(error, CostUnknown)
                else AttemptReason.PROVIDER_REFUSED
            )
            raise AttemptStopped(fail(reason, f"step {call.name}: {error}", error)) from error
        if streams:
            opened = await self._open(paid)
            if isinstance(opened, httpx2.Response):
                return opened
            return httpx2.Response(200, headers=opened.headers, stream=_Passed(opened))
        return await self._whole(paid)

    def _prepared(self, payer: Payer, call: Call, body: dict[str, Any], request: httpx2.Request) -> PaidCall:
        """Raises `InvalidInput` (`CostUnknown`) for a call that must not be made."""
        target = self._routes.find(payer, call.tier if CALL.get() else body.get("model"))
        attempt = payer.running
        rates = self._routes.rates(target, attempt.now_ms())
        body["model"] = target.model
        body["stream"] = True
        payload = orjson.dumps(body)
        return PaidCall(
            payer=payer,
            call=call,
            target=target,
            rates=rates,
            amount=worst_cost(body, token_bound(payload), rates),
            payload=payload,
            headers=self._headers(request, target),
            until=min(attempt.deadline, time.monotonic() + attempt.spec.timeouts.step_seconds),
            started_ms=attempt.now_ms(),
        )

    def _headers(self, request: httpx2.Request, target: Target) -> list[tuple[bytes, bytes]]:
        headers = [(name, value) for name, value in request.headers.raw if name.lower() not in _NOT_PASSED_ON]
        headers += [
            (b"host", httpx2.URL(target.base_url).netloc),
            (b"accept", b"text/event-stream"),
            (b"accept-encoding", b"identity"),
        ]
        key = self._routes.key(target)
        if key is not None:
            headers.append((b"x-api-key", key.encode()))
        return headers

    async def _whole(self, paid: PaidCall) -> httpx2.Response:
        """The answer as one JSON message, read from the stream."""
        while True:
            opened = await self._open(paid)
            if isinstance(opened, httpx2.Response):
                return opened
            try:
                async for _ in opened:
                    pass
            except httpx2.TransportError as error:
                broken = opened.broken_by(error)
                if not await self._may_retry(paid, broken):
                    raise _given_up(broken) from error
                continue
            assert paid.call.record is not None  # noqa: S101 -- a try that ends well has journaled it
            return _response(paid.call.record, streams=False)

    async def _open(self, paid: PaidCall) -> MeteredTry | httpx2.Response:
        """A try whose answer has begun, or the provider's refusal. Raises what the SDK takes for a lost
        call.
        """
        while True:
            paid.tries += 1
            answer = await self._tries.open(paid)
            if isinstance(answer, MeteredTry):
                return answer
            if await self._may_retry(paid, answer):
                continue
            if answer.response is not None:
                return answer.response
            raise _given_up(answer)

    async def _may_retry(self, paid: PaidCall, broken: Broken) -> bool:
        """Waits its time out first."""
        verdict = classify(broken.status, broken.kind, should_retry=broken.should_retry)
        if not isinstance(verdict, Retry):
            return False
        seconds = backoff_seconds(
            paid.tries, random=random.random(), retry_after_seconds=broken.retry_after_seconds
        )
        if verdict.slows_fleet:
            self._tries.pacer.pause(paid.target.tier, seconds)
        if time.monotonic() + seconds >= paid.until:
            return False
        await asyncio.sleep(seconds)
        return True

    async def _free(self, payer: Payer, request: httpx2.Request) -> httpx2.Response:
        target = self._routes.find(payer)
        content = await request.aread()
        if content:
            body = orjson.loads(content)
            if "model" in body:
                target = self._routes.find(payer, body["model"])
                content = orjson.dumps({**body, "model": target.model})
        headers = self._headers(request, target)
        url = target.base_url + request.url.raw_path.decode()
        passed = httpx2.Request(
            request.method, url, headers=headers, content=content, extensions=request.extensions
        )
        return await self._tries.wire.handle_async_request(passed)


class _Passed(httpx2.AsyncByteStream):
    """The provider's bytes for a caller that streams; its last ones only after the call is settled and
    journaled.
    """

    def __init__(self, source: MeteredTry) -> None:
        self._source = source

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._source:
            yield data

    async def aclose(self) -> None:
        await self._source.aclose()


def _given_up(broken: Broken) -> httpx2.TransportError:
    error = broken.error or httpx2.ReadError(f"{broken.kind}: {broken.message}")
    return error if isinstance(error, httpx2.TransportError) else httpx2.ReadError(str(error))


def _fingerprint(body: Mapping[str, Any]) -> str:
    """The same for the same request: the plain client's calls have no names."""
    return "call-" + hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _response(record: StepRecord, streams: bool) -> httpx2.Response:
    message = {**record.result, "usage": record.usage}
    if streams:
        headers = {"content-type": "text/event-stream; charset=utf-8"}
        return httpx2.Response(200, headers=headers, content=b"".join(as_stream(message)))
    return httpx2.Response(200, headers={"content-type": "application/json"}, content=orjson.dumps(message))


def _refusal(status: int, kind: str, message: str) -> httpx2.Response:
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return httpx2.Response(status, headers={"content-type": "application/json"}, content=orjson.dumps(body))
