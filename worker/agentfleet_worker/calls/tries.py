"""One try of a paid call: its hold from the reserve to the settle, whatever happens in between.

A try ends in exactly one of four ways: never sent (released), answered with an error (settled at nothing),
complete (settled at its cost and journaled), or cut after it was sent (charged at its worst case, since the
provider may bill it). A cancelled caller does not stop the settling: that goes on in a task of its own.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from agentfleet_core.budget.limits import Hold
from agentfleet_core.budget.money import NANO_PER_USD
from agentfleet_core.budget.prices import cost_of
from agentfleet_core.budget.usage import TOKEN_KINDS, Report
from agentfleet_core.errors import CostUnknown
from agentfleet_core.providers.port import StreamError
from agentfleet_core.queue.envelope import JournalEntry
from agentfleet_core.queue.step import StepKind, StepRecord
from agentfleet_core.resilience.retry_after import retry_after_seconds
from agentfleet_core.telemetry import metrics
from agentfleet_worker.attempt.background import Background
from agentfleet_worker.attempt.limits import MAX_RESPONSE_BYTES
from agentfleet_worker.attempt.ports import Commit
from agentfleet_worker.calls.answers import PHASES, body_of
from agentfleet_worker.calls.call import Headers, PaidCall
from agentfleet_worker.calls.counts import Counts
from agentfleet_worker.calls.money import CallMoney
from agentfleet_worker.calls.progress import Progress

CONNECT_SECONDS = 10.0
REST_SECONDS = 0.1
"""How long a connection may take to end an answer whose message is complete."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A try that brought no message. `response`: the provider's own error answer, for the SDK."""

    status: int | None
    kind: str
    message: str
    retry_after_seconds: float | None = None
    should_retry: bool | None = None
    """The provider's own word."""
    response: httpx2.Response | None = None
    error: Exception | None = None


class HeldBack(Exception):
    """A pause came while the connection was being made."""


class Tries:
    def __init__(
        self,
        wire: httpx2.AsyncBaseTransport,
        money: CallMoney,
        counts: Counts,
        commit: Commit,
        progress: Progress,
        background: Background,
    ) -> None:
        self.wire = wire
        self.money = money
        self.counts = counts
        self.commit = commit
        self.progress = progress
        self.background = background

    async def send(self, paid: PaidCall, headers: Headers, hold: Hold) -> "MeteredTry | Broken":
        """A try whose answer has begun, or how it broke. Raises `HeldBack`."""
        answer = await MeteredTry(self, paid, headers, hold).send()
        if isinstance(answer, Broken):
            metrics.LLM_CALLS.labels(paid.tier, paid.model, answer.kind).inc()
        return answer


class MeteredTry:
    """Iterate it for the provider's bytes; when they end, the call is settled and journaled."""

    def __init__(self, services: Tries, paid: PaidCall, headers: Headers, hold: Hold) -> None:
        self._services = services
        self._paid = paid
        self._headers = headers
        self._hold = hold
        self._reader = paid.target.provider.reader()
        self._response: httpx2.Response | None = None
        self._ended = False
        self._bytes = 0
        self._sent_at = time.monotonic()
        paid.payer.running.call_begins()
        self._until = min(paid.until, self._sent_at + paid.payer.running.spec.timeouts.llm_call_seconds)

    @property
    def headers(self) -> httpx2.Headers:
        assert self._response is not None  # noqa: S101 -- only a try that was opened is given out
        return self._response.headers

    async def send(self) -> "MeteredTry | Broken":
        """Raises `HeldBack`, the hold given back, when a pause came before anything left."""
        try:
            async with asyncio.timeout_at(self._loop_time(self._until)):
                self._response = await self._services.wire.handle_async_request(self._request())
                if self._response.status_code == 200:
                    return self
                return await self._refused(self._response)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            await self._settle(0)
            return Broken(None, "connection_error", f"the provider cannot be reached: {error}", error=error)
        except HeldBack:
            await self._settle(0)
            raise
        except (httpx2.TransportError, TimeoutError) as error:
            return await self._cut(error)
        except BaseException:
            await self._charge_cut()
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises `httpx2.TransportError` when the stream breaks; see `broken_by`."""
        assert self._response is not None  # noqa: S101 -- only a try that was opened is given out
        source = aiter(self._response.stream)  # type: ignore[arg-type]  # an async transport's stream
        last = b""
        try:
            while True:
                async with asyncio.timeout_at(self._loop_time(self._until)):
                    data = await anext(source, None)
                if data is None:
                    break
                try:
                    self._take(data)
                except StreamError:
                    yield data  # the provider's last word, for a caller that reads the stream itself
                    raise
                if self._reader.complete:
                    last = data
                    break
                yield data
            if not self._reader.complete:
                raise httpx2.RemoteProtocolError("the stream ended before message_stop")
            await self._complete()
            await _read_to_end(source)
        except TimeoutError as error:
            raise httpx2.ReadTimeout("the call did not end within llmCallSeconds") from error
        except StreamError as error:
            raise httpx2.RemoteProtocolError(f"{error.kind}: {error}") from error
        finally:
            await self.aclose()
        yield last

    async def aclose(self) -> None:
        """A caller that goes away early has cut its call."""
        await self._charge_cut()
        if self._response is not None:
            await self._response.stream.aclose()  # type: ignore[union-attr]  # an async transport's stream

    def broken_by(self, error: httpx2.TransportError) -> Broken:
        cause = error.__cause__
        if isinstance(cause, StreamError):
            return Broken(None, cause.kind, str(cause), error=error)
        kind = "timeout_error" if isinstance(error, httpx2.TimeoutException) else "connection_error"
        return Broken(None, kind, str(error), error=error)

    def _request(self) -> httpx2.Request:
        paid = self._paid
        seconds = max(0.001, self._until - time.monotonic())
        limits = {**dict.fromkeys(PHASES, seconds), "connect": min(CONNECT_SECONDS, seconds)}
        return httpx2.Request(
            "POST", paid.target.base_url + paid.target.provider.paid_path,
            headers=[*self._headers, (b"accept", b"text/event-stream")],
            content=paid.bounded.payload, extensions={"timeout": limits, "trace": self._before_it_leaves},
        )  # fmt: skip

    async def _before_it_leaves(self, event: str, info: Mapping[str, Any]) -> None:
        """The transport tells what it does next."""
        attempt = self._paid.payer.running
        if event.endswith(".send_request_headers.started") and not self._services.money.may_leave(attempt):
            raise HeldBack

    def _take(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > MAX_RESPONSE_BYTES:
            raise httpx2.RemoteProtocolError("the answer is larger than a message can be")
        text = self._reader.feed(data)
        if text:
            payer = self._paid.payer
            self._services.progress.text(payer.task_id, payer.attempt, self._paid.call.key, text)

    async def _refused(self, response: httpx2.Response) -> Broken:
        """An error answer: not billed. Its body is read whole, for the SDK to raise its own error of it."""
        body = await body_of(response)
        await self._settle(0)
        kept = [(name, value) for name, value in response.headers.raw if name.lower() not in _FRAMING]
        answer = httpx2.Response(response.status_code, headers=kept, content=body)
        provider = self._paid.target.provider
        kind, message = provider.refusal(response.status_code, body)
        seconds = retry_after_seconds(answer.headers.get("retry-after"))
        return Broken(
            response.status_code, kind, message, seconds, provider.should_retry(answer.headers), answer
        )

    async def _cut(self, error: Exception) -> Broken:
        await self._charge_cut()
        if isinstance(error, httpx2.TransportError):
            return self.broken_by(error)
        broken = httpx2.ReadTimeout("the call did not end within llmCallSeconds")
        return Broken(None, "timeout_error", str(broken), error=broken)

    async def _settle(self, cost: int) -> None:
        await self._end(self._services.money.settle(self._hold, cost))

    async def _end(self, work: Coroutine[Any, Any, None]) -> None:
        """The one way out; goes on when the caller is cancelled."""
        self._ended = True
        await asyncio.shield(self._services.background.start(self._ending(work)))

    async def _ending(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            self._paid.payer.running.call_ends()

    async def _charge_cut(self) -> None:
        """Before anything else happens in the task: its end would leave no place for the entry."""
        if not self._ended:
            await self._end(self._charge_worst_case())

    async def _charge_worst_case(self) -> None:
        """The ledger by its worst case, and the task's cost too: a journal entry without a result."""
        paid = self._paid
        metrics.LLM_CALLS.labels(paid.tier, paid.model, "cut").inc()
        self._services.progress.retract_step(paid.payer.task_id, paid.payer.attempt, paid.call.key)
        await self._services.money.settle(self._hold, self._hold.amount, unconfirmed=True)
        _count_spent(paid, self._hold.amount)
        record = StepRecord(
            StepKind.CUT, paid.call.name, None, paid.started_ms, paid.payer.running.now_ms(),
            self._hold.amount, paid.tier, paid.model,
        )  # fmt: skip
        claim = paid.payer.running.claim
        key = f"{paid.call.key}!{claim.attempt}.{paid.tries}"
        value = record.encode()
        await self._services.commit.journal(
            JournalEntry(claim.envelope.id, claim.attempt, key, value, record.cost)
        )
        paid.payer.running.journaled(value)

    async def _complete(self) -> None:
        """Settled and journaled before anything else happens with the answer."""
        await self._end(self._keep())

    async def _keep(self) -> None:
        paid = self._paid
        assert self._reader.message is not None  # noqa: S101 -- complete
        cost, unconfirmed, report = self._cost()
        if paid.bounded.counted and cost > self._hold.amount:
            self._services.counts.found_wrong(paid.target)
        message = dict(self._reader.message)
        usage = message.pop("usage", None)
        record = StepRecord(
            StepKind.LLM, paid.call.name, message, paid.started_ms, paid.payer.running.now_ms(), cost,
            paid.tier, paid.model, usage, paid.instead_of, paid.rerouted,
        )  # fmt: skip
        self._services.progress.flush_step(paid.payer.task_id, paid.payer.attempt, paid.call.key)
        settle = self._services.money.settle(self._hold, cost, unconfirmed=unconfirmed)
        journal = paid.payer.write(paid.call.key, record.encode(), record)
        settled, journaled = await asyncio.gather(settle, journal, return_exceptions=True)
        if not isinstance(settled, BaseException):
            _count(paid, cost, report, time.monotonic() - self._sent_at)  # spent, also by a stale attempt
        for outcome in (journaled, settled):
            if isinstance(outcome, BaseException):
                raise outcome
        paid.call.record = record

    def _cost(self) -> tuple[int, bool, Report | None]:
        """A usage that no price covers is charged at the worst case: the call was made."""
        try:
            report = self._paid.target.provider.report(self._reader.usage)
            return cost_of(report, self._paid.bounded.rates), False, report
        except CostUnknown:
            return self._hold.amount, True, None

    @staticmethod
    def _loop_time(monotonic: float) -> float:
        return asyncio.get_running_loop().time() + monotonic - time.monotonic()


async def _read_to_end(source: AsyncIterator[bytes]) -> None:
    """A connection whose answer was read to its end serves the next call. The message is there already, so
    what the connection does now counts for nothing.
    """
    with contextlib.suppress(TimeoutError, httpx2.TransportError):
        async with asyncio.timeout(REST_SECONDS):
            async for _ in source:
                pass


_FRAMING = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


def _count(paid: PaidCall, cost: int, report: Report | None, seconds: float) -> None:
    tier, model = paid.tier, paid.model
    metrics.LLM_CALLS.labels(tier, model, "complete").inc()
    metrics.LLM_CALL_SECONDS.labels(tier, model).observe(seconds)
    _count_spent(paid, cost)
    if report is not None:
        total = report.total
        for kind in TOKEN_KINDS:
            count = getattr(total, kind)
            if count:
                metrics.LLM_TOKENS.labels(tier, model, kind).inc(count)


def _count_spent(paid: PaidCall, cost: int) -> None:
    tenant = metrics.TENANTS.of(paid.payer.tenant)
    metrics.SPENT_USD.labels(tenant, paid.tier).inc(cost / NANO_PER_USD)
