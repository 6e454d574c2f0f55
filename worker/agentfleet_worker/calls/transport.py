"""The one metered transport: every call of whatever library passes here, below the SDK.

It finds who pays and which provider's API is spoken, replays what is journaled, and gives the rest to
`CallLoop`; a paid call streams on the wire even where the caller wants it whole, and the caller gets the last
of its answer only once the call is settled and journaled.
Forbidden: any way to a provider that does not come through here.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import orjson

from agentfleet_core.errors import InvalidInput
from agentfleet_core.providers.port import Provider
from agentfleet_core.queue.step import StepRecord
from agentfleet_worker.calls.call import CALL, PAYER, Call, PaidCall, Payer
from agentfleet_worker.calls.loop import Asked, CallLoop
from agentfleet_worker.calls.routes import Routes
from agentfleet_worker.calls.tries import MeteredTry


class MeteredTransport(httpx2.AsyncBaseTransport):
    def __init__(self, routes: Routes, calls: CallLoop, wire: httpx2.AsyncBaseTransport) -> None:
        self._routes = routes
        self._calls = calls
        self._wire = wire

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        payer = PAYER.get(None)
        if payer is None:
            return _refusal("a paid call outside of a task has nobody who pays for it")
        path = request.url.path
        provider = self._routes.paid_at(path) if request.method == "POST" else None
        try:
            if provider is not None:
                return await self._paid(payer, provider, request)
            sent_path = request.url.raw_path.partition(b"?")[0].decode()
            if self._routes.is_free(request.method, sent_path):
                return await self._free(payer, request)
        except InvalidInput as error:
            return _refusal(str(error))
        return _refusal(f"what {request.method} {path} costs is unknown: not sent")

    async def aclose(self) -> None:
        await self._wire.aclose()

    async def _paid(self, payer: Payer, provider: Provider, request: httpx2.Request) -> httpx2.Response:
        begun = await self._begun(payer, provider, request)
        if isinstance(begun, httpx2.Response):
            return begun
        paid, streams = begun
        if not streams:
            return await self._whole(paid)
        opened = await self._calls.open(paid)
        if isinstance(opened, httpx2.Response):
            return opened
        return httpx2.Response(200, headers=opened.headers, stream=_Passed(opened))

    async def _begun(
        self, payer: Payer, provider: Provider, request: httpx2.Request
    ) -> tuple[PaidCall, bool] | httpx2.Response:
        """The call, and whether its caller streams; or what was journaled of it. Apart from `_paid`, so that
        the parsed body is not kept for as long as the call lasts.
        """
        body = orjson.loads(await request.aread())
        streams = body.get("stream") is True
        own = CALL.get()
        call = own or Call(payer.key_of(_fingerprint(body)), "client", None)
        recorded = payer.recorded(call.key)
        if recorded is not None:
            call.record = recorded
            return _answer(provider, recorded, streams)
        payer.running.check_journal()
        paid = self._calls.begin(Asked(payer, call, body, request.headers.raw, own is not None))
        if paid.target.provider is not provider:
            raise InvalidInput(
                f"tier {paid.tier} does not speak the API of {request.url.path}", field="model"
            )
        return paid, streams

    async def _whole(self, paid: PaidCall) -> httpx2.Response:
        """The answer as one JSON message, read from the stream."""
        while True:
            opened = await self._calls.open(paid)
            if isinstance(opened, httpx2.Response):
                return opened
            try:
                async for _ in opened:
                    pass
            except httpx2.TransportError as error:
                refusal = await self._calls.after(paid, opened.broken_by(error))
                if refusal is not None:
                    return refusal
                continue
            assert paid.call.record is not None  # noqa: S101 -- a try that ends well has journaled it
            return _answer(paid.target.provider, paid.call.record, streams=False)

    async def _free(self, payer: Payer, request: httpx2.Request) -> httpx2.Response:
        """Sent with the tier's key, not journaled."""
        target = self._routes.find(payer)
        content = await request.aread()
        if content:
            body = orjson.loads(content)
            if "model" in body:
                target = self._routes.find(payer, body["model"])
                content = orjson.dumps({**body, "model": target.route.model})
        passed = httpx2.Request(
            request.method,
            target.base_url + request.url.raw_path.decode(),
            headers=self._routes.headers(target, request.headers.raw),
            content=content,
            extensions=request.extensions,
        )
        return await self._wire.handle_async_request(passed)


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


def _fingerprint(body: Mapping[str, Any]) -> str:
    """The same for the same request: the plain client's calls have no names."""
    return "call-" + hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _answer(provider: Provider, record: StepRecord, streams: bool) -> httpx2.Response:
    message = {**record.result, "usage": record.usage}
    if streams:
        headers = {"content-type": "text/event-stream; charset=utf-8"}
        return httpx2.Response(200, headers=headers, content=b"".join(provider.stream(message)))
    return httpx2.Response(200, headers={"content-type": "application/json"}, content=orjson.dumps(message))


def _refusal(message: str) -> httpx2.Response:
    """In the shape in which providers' SDKs look for the message."""
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    return httpx2.Response(400, headers={"content-type": "application/json"}, content=orjson.dumps(body))
