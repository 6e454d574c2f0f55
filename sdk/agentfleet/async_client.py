"""The asyncio client: the same words as the blocking one, awaited.

async with AsyncClient() as fleet:
    task = await fleet.submit("refund-request", {"order": "A-1001"})
    print((await task.result(timeout=60)).output)
"""

import asyncio
import random
from collections.abc import AsyncIterator, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, Unpack

import httpx

from agentfleet import flows, wire
from agentfleet.client import (
    RETRIES,
    T,
    Views,
    answer_of,
    connection,
    failure_of,
    request_arguments,
    stream_arguments,
)
from agentfleet.models import (
    Page,
    Result,
    Submission,
    TaskEvent,
    TaskFilter,
    TaskInfo,
    TaskOptions,
    TaskRequest,
)
from agentfleet_core.errors import AgentfleetError, Overloaded, Unavailable


@dataclass(frozen=True, eq=False)
class AsyncTask(TaskInfo):
    """A task and the client that knows it."""

    client: "AsyncClient" = field(repr=False, compare=False)

    async def refresh(self) -> "AsyncTask":
        return await self.client.get(self.id)

    async def result(self, timeout: float | None = None, *, check: bool = True) -> Result:
        return await self.client.result(self.id, timeout, check=check)

    def follow(self, after: str = "") -> AsyncIterator[TaskEvent]:
        return self.client.follow(self.id, after)

    async def cancel(self) -> "AsyncTask":
        return await self.client.cancel(self.id)

    async def delete(self) -> None:
        await self.client.delete(self.id)


AsyncSubmissions = list[Submission[AsyncTask]]


class AsyncClient:
    """Talks to one fleet's coordinator. AGENTFLEET_URL and AGENTFLEET_API_KEY, or arguments.

    Raises errors that `agentfleet` exports, all of them `AgentfleetError`s. Connection errors, 429 and 503
    are retried up to `retries` times; a submit that is retried is still one task.
    """

    def __init__(self, url: str | None = None, api_key: str | None = None, *, retries: int = RETRIES,
                 transport: httpx.AsyncBaseTransport | None = None) -> None:  # fmt: skip
        self._http = httpx.AsyncClient(**connection(url, api_key), transport=transport)
        self._retries = retries

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def submit(
        self, type: str, input: Mapping[str, Any] | None = None, **options: Unpack[TaskOptions]
    ) -> AsyncTask:
        """Admit one task. `options`: pool, tier, priority, labels, mode, expires_after_seconds and
        idempotency_key, as in `TaskRequest`.

        The same idempotency key with the same body is the same task, for 20 hours.
        """
        request = TaskRequest(type, input or {}, **options)
        return self._task(await self._ask(wire.submit(request)))

    async def submit_many(
        self, tasks: Iterable[TaskRequest | Mapping[str, Any] | tuple[str, Mapping[str, Any]]]
    ) -> AsyncSubmissions:
        """Admit any number, 1,000 to a request; an answer per item, in order.

        Items that the server is too busy for are sent again, up to `retries` times.
        """
        answers = await self._run(flows.submit_many([wire.with_key(task) for task in tasks], self._retries))
        return [
            Submission(None, answer)
            if isinstance(answer, AgentfleetError)
            else Submission(self._task(answer))
            for answer in answers
        ]

    async def get(self, task_id: str) -> AsyncTask:
        return self._task(await self._ask(wire.task(task_id)))

    async def list(
        self, *, limit: int = 50, cursor: str | None = None, **filters: Unpack[TaskFilter]
    ) -> Page[AsyncTask]:
        """Newest first. A page may hold fewer than `limit` and still not be the last: `next_cursor` says."""
        data = await self._ask(wire.tasks(filters, limit, cursor))
        return Page(tuple(self._task(item) for item in data["items"]), data["next_cursor"])

    async def result(self, task_id: str, timeout: float | None = None, *, check: bool = True) -> Result:
        """Wait for the end, at most `timeout` seconds (None: as long as it takes).

        Raises `TaskFailed` when the task ended failed, dead or cancelled and `check` is true,
        `DeadlineExceeded` when the time is up; the task itself runs on then.
        """
        return await self._run(flows.result(task_id, timeout, check, self._retries))

    async def follow(self, task_id: str, after: str = "") -> AsyncIterator[TaskEvent]:
        """The task's events from its first (or behind the id `after`) to its end; resumes by itself."""
        parser = wire.EventParser(after)
        failures = 0
        while True:
            try:
                async with self._http.stream("GET", **stream_arguments(task_id, parser)) as answer:
                    if answer.status_code >= 400:
                        await answer.aread()
                        raise failure_of(answer)
                    async for line in answer.aiter_lines():
                        for event in parser.feed(line):
                            failures = 0
                            yield event
                            if event.type == "ended":
                                return
            except (httpx.TransportError, Unavailable, Overloaded) as error:
                failures += 1
                if failures > self._retries:
                    raise error if isinstance(error, AgentfleetError) else flows.unreachable(error) from error
            await self._do(flows.pause_before(failures))

    async def cancel(self, task_id: str) -> AsyncTask:
        return self._task(await self._ask(wire.task(task_id, tail="/cancel", method="POST")))

    async def delete(self, task_id: str) -> None:
        """Erase an ended task's content; its cost stays."""
        await self._ask(wire.task(task_id, method="DELETE"))

    async def why(self, target: str) -> dict[str, Any]:
        """Why `pool/NAME` has its size, or `task/ID` is where it is; `text` is for people."""
        return await self._ask(wire.why(target))

    async def fleet(self) -> dict[str, Any]:
        """Pools, tenants, switches and scale events; needs an admin key."""
        return await self._ask(wire.Call("GET", "/v1/fleet"))

    async def pools(self) -> Views:
        pools: Views = (await self.fleet())["pools"]
        return pools

    async def pause(self, target: str, *, allow_missing: bool = False) -> dict[str, Any]:
        """No new paid call of `fleet`, `pool/NAME`, `tenant/NAME` or `task-type/NAME` within a second; needs
        an admin key. Raises `NotFound` for what does not exist, unless `allow_missing`.
        """
        return await self._ask(wire.switch(target, on=True, allow_missing=allow_missing))

    async def resume(self, target: str) -> dict[str, Any]:
        return await self._ask(wire.switch(target, on=False))

    async def _ask(self, call: wire.Call) -> dict[str, Any]:
        return await self._run(flows.ask(call, self._retries))

    async def _run(self, flow: Generator[wire.Call | flows.Pause, flows.Answer, T]) -> T:
        try:
            step = next(flow)
            while True:
                step = flow.send(await self._do(step))
        except StopIteration as end:
            value: T = end.value
            return value

    async def _do(self, step: wire.Call | flows.Pause) -> flows.Answer:
        if isinstance(step, flows.Pause):
            await asyncio.sleep(step.at_least_seconds + random.random() * step.jitter_seconds)
            return flows.Answer(asyncio.get_running_loop().time())
        try:
            answer = await self._http.request(**request_arguments(step))
        except httpx.TransportError as error:
            return flows.Answer(asyncio.get_running_loop().time(), error=error)
        return answer_of(answer)

    def _task(self, data: Mapping[str, Any]) -> AsyncTask:
        return AsyncTask(**TaskInfo.fields_of(data), client=self)
