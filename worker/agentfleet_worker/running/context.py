"""What a handler's `TaskContext` does: journaled steps and journaled, paid model responses.

A key names a step in the journal. It is the step's name, numbered when the name comes again, inside the
name of the workflow step that it belongs to; so the same program gives the same keys in every attempt.
"""

import asyncio
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from inspect import CO_COROUTINE
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import orjson

from agentfleet import Reply
from agentfleet.tools import call_function
from agentfleet_core.errors import HandlerFailed, InvalidInput
from agentfleet_core.queue.envelope import Event, JournalEntry
from agentfleet_core.queue.limits import MAX_STEP_BYTES
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.queue.step import StepKind, StepRecord, decode_step
from agentfleet_worker.attempt.attempt import Attempt
from agentfleet_worker.attempt.deadlines import within
from agentfleet_worker.attempt.guard import Guarded
from agentfleet_worker.attempt.limits import sized
from agentfleet_worker.attempt.outcomes import AttemptLost, AttemptStopped, fail, retry
from agentfleet_worker.calls.call import CALL, PAYER, Call, Payer
from agentfleet_worker.running.services import Services

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

STEP: ContextVar[str] = ContextVar("agentfleet_step", default="")
"""The key of the step that runs now."""


class WorkerContext:
    """Implements `agentfleet.TaskContext`."""

    __slots__ = ("_attempt", "_journal", "_prefix", "_services", "_used")

    def __init__(self, attempt: Attempt, services: Services, prefix: str = "") -> None:
        self._attempt = attempt
        self._services = services
        self._journal = attempt.claim.journal
        self._prefix = prefix
        self._used: dict[str, int] = {}

    @property
    def running(self) -> Attempt:
        return self._attempt

    @property
    def task_id(self) -> str:
        return self._attempt.claim.envelope.id

    @property
    def task_type(self) -> str:
        return self._attempt.claim.envelope.type

    @property
    def tenant(self) -> str:
        return self._attempt.claim.envelope.tenant

    @property
    def attempt(self) -> int:
        return self._attempt.claim.attempt

    @property
    def labels(self) -> Mapping[str, str]:
        return self._attempt.claim.envelope.labels

    @property
    def client(self) -> "AsyncAnthropic":
        return self._services.sdk.client

    def inside(self, name: str) -> "WorkerContext":
        """The context of a workflow's step, with keys of its own."""
        return WorkerContext(self._attempt, self._services, f"{self._prefix}{name}/")

    def idempotency_key(self, step: str | None = None) -> str:
        key = STEP.get() if step is None else f"{self._prefix}{step}"
        if not key:
            raise InvalidInput("no step runs here; name the step whose key is meant")
        return f"{self.task_id}/{key}"

    def key_of(self, name: str) -> str:
        """Takes the name's next key."""
        if not name or len(name) > 200 or "/" in name or "#" in name:
            raise InvalidInput(f"{name!r} cannot name a step: 1 to 200 characters, none of them / or #")
        number = self._used.get(name, 0) + 1
        self._used[name] = number
        return f"{self._prefix}{name}" if number == 1 else f"{self._prefix}{name}#{number}"

    def recorded(self, key: str) -> StepRecord | None:
        """What an earlier attempt journaled."""
        value = self._journal.get(key)
        if value is None:
            return None
        record = decode_step(value)
        self._note(key, record)
        return record

    async def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return await self.run(StepKind.STEP, name, self.key_of(name), function, args, kwargs)

    async def run(
        self,
        kind: StepKind,
        name: str,
        key: str,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = {},
    ) -> Any:
        """A step of any kind under a key that was taken."""
        recorded = self._journal.get(key)
        if recorded is not None:
            return decode_step(recorded).result
        attempt = self._attempt
        if attempt.stopped is not None:
            raise attempt.stopped
        attempt.check_journal()
        started = time.monotonic()
        token = STEP.set(key)
        try:
            with within(self._services.deadlines, attempt.spec.timeouts.step_seconds):
                code = getattr(function, "__code__", None)
                if (
                    code is not None and code.co_flags & CO_COROUTINE
                ):  # a coroutine function: the common case, and cheap
                    result = await function(*args, **kwargs)
                else:
                    result = await call_function(function, *args, **kwargs)
        except TimeoutError as error:
            self._attempt.check()
            raise AttemptStopped(self._timed_out(name)) from error
        finally:
            STEP.reset(token)
        if isinstance(result, CoroutineType):
            result.close()
            raise HandlerFailed(f"step {name} returned a coroutine that nobody awaited")
        return await self._keep(StepRecord(kind, name, result, attempt.at_ms(started), attempt.now_ms()), key)

    async def llm(
        self,
        name: str,
        *,
        prompt: str | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        system: str | None = None,
        max_output_tokens: int = 1_024,
        tier: str | None = None,
        **parameters: Any,
    ) -> Reply:
        if (prompt is None) == (messages is None):
            raise InvalidInput("give either prompt or messages", field="prompt")
        parameters |= {
            "max_tokens": max_output_tokens,
            "messages": [{"role": "user", "content": prompt}] if messages is None else messages,
        }
        if system is not None:
            parameters["system"] = system
        return await self.ask(Call(self.key_of(name), name, tier), parameters)

    async def ask(self, call: Call, parameters: Mapping[str, Any]) -> Reply:
        """One model response through the SDK and the metered transport, which journals it."""
        attempt = self._attempt
        client = await self._services.sdk.ready()
        attempt.check()
        token = CALL.set(call)
        try:
            with within(self._services.deadlines, attempt.spec.timeouts.step_seconds):
                await client.messages.with_raw_response.create(
                    model=call.tier or attempt.claim.envelope.tier, **parameters
                )
        except TimeoutError as error:
            attempt.check()
            raise AttemptStopped(self._timed_out(call.name)) from error
        finally:
            CALL.reset(token)
        record = call.record
        if record is None:
            raise HandlerFailed(f"step {call.name} ended without a response")
        return Reply({**record.result, "usage": record.usage}, record.tier, record.model, record.cost)

    async def _keep(self, record: StepRecord, key: str) -> Any:
        """Journal a result, then give back what a replay would give."""
        try:
            value = record.encode()
        except InvalidInput as error:
            detail = f"step {record.name}: {error}; return what JSON can say"
            raise AttemptStopped(fail(AttemptReason.OUTPUT_REFUSED, detail, error)) from error
        if len(value) > MAX_STEP_BYTES:
            detail = (
                f"step {record.name} returned {sized(len(value))}, the limit is {sized(MAX_STEP_BYTES)}: "
                "store it elsewhere and return where"
            )
            raise AttemptStopped(fail(AttemptReason.OUTPUT_REFUSED, detail))
        await self.write(key, value, record)
        result = record.result
        if result is None or type(result) in (str, int, bool, float):
            return result
        return orjson.loads(value)["result"]

    async def write(self, key: str, value: bytes, record: StepRecord) -> None:
        """Into the journal, with the event that says so. Raises `AttemptLost` when the attempt is stale."""
        attempt = self._attempt
        claim = attempt.claim
        entry = JournalEntry(claim.envelope.id, claim.attempt, key, value, record.cost)
        event = step_event(claim.envelope.id, claim.attempt, key, record)
        if not await self._services.commit.journal(entry, (event,)):
            attempt.lose()
            raise AttemptLost
        attempt.journaled(value)
        self._note(key, record)

    def _note(self, key: str, record: StepRecord) -> None:
        if record.limitation:
            self._attempt.limitations[key] = record.limitation

    def _timed_out(self, name: str) -> Any:
        seconds = self._attempt.spec.timeouts.step_seconds
        return retry(
            AttemptReason.STEP_TIMEOUT,
            f"step {name} did not end within stepSeconds ({seconds} s)",
            step=name,
        )


def step_event(task_id: str, attempt: int, key: str, record: StepRecord) -> Event:
    """What a follower sees of a step: what it was and what it cost; a model's text too."""
    data: dict[str, Any] = {
        "step": key,
        "kind": record.kind,
        "name": record.name,
        "cost_nano_usd": record.cost,
    }
    if record.failure:
        data["error"] = record.failure
    return Event(task_id, attempt, "step", orjson.dumps(data))


def payer_of(task: "asyncio.Task[Any]") -> Payer | None:
    """The attempt that an asyncio task works for. Also asked by another thread."""
    if sys.version_info >= (3, 12):
        return task.get_context().get(PAYER)
    return _WORKS_FOR.get(task)


_WORKS_FOR: "weakref.WeakKeyDictionary[asyncio.Task[Any], Payer]" = weakref.WeakKeyDictionary()


def watch_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """What an attempt starts is guarded. Before Python 3.12 a task does not tell its context, so it is noted
    when the task is made.
    """

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
        works_for = PAYER.get(None)
        if works_for is None:
            return asyncio.Task(coroutine, loop=loop, **options)
        if isinstance(coroutine, CoroutineType):
            coroutine = Guarded(coroutine)
        task = asyncio.Task(coroutine, loop=loop, **options)
        if sys.version_info < (3, 12):
            _WORKS_FOR[task] = works_for
        return task

    loop.set_task_factory(make)
