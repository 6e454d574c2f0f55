"""The SDK against a real coordinator: what a user's program does, blocking and asynchronous."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from tests.servers.coordinator import ACME_KEY, ADMIN_KEY, CoordinatorThread

from agentfleet import AsyncClient, Client, TaskRequest
from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.errors import Forbidden, InvalidRequest, NotFound, Unauthorized, Unavailable
from agentfleet_core.settings import FleetId

ORDER = {"order": "A-1001", "message": "It arrived broken."}


@pytest.fixture
def running(
    redis: RedisServer, fleet_id: FleetId, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CoordinatorThread]:
    with CoordinatorThread(redis, fleet_id) as found:
        monkeypatch.setenv("AGENTFLEET_URL", found.coordinator.url)
        monkeypatch.setenv("AGENTFLEET_API_KEY", ACME_KEY)
        yield found


async def work(running: CoordinatorThread, output: bytes, tasks: int = 1) -> None:
    """A worker that does the next tasks as they come."""
    coordinator = running.coordinator
    queue = coordinator.queue()
    while tasks:
        for claim in await queue.claim("worker-1", tasks, lease_ms=30_000):
            await coordinator.settle(claim, output=output, cost=1_500_000, limitations=("no stock data",))
            tasks -= 1
        await queue.wait(0.2)


def worker(running: CoordinatorThread, output: bytes, tasks: int = 1) -> threading.Thread:
    thread = threading.Thread(target=lambda: running.call(work(running, output, tasks)))
    thread.start()
    return thread


def test_the_ten_lines(running: CoordinatorThread, capsys: pytest.CaptureFixture[str]) -> None:
    working = worker(running, b'{"reply":"We are sorry."}')
    program = """
from agentfleet import Client

with Client() as fleet:                      # AGENTFLEET_URL and AGENTFLEET_API_KEY, or arguments
    task = fleet.submit("refund-request", {"order": "A-1001", "message": "It arrived broken."})
    print(task.result(timeout=60).output)    # .cost, .limitations, .steps
"""
    exec(compile(program, "ten_lines.py", "exec"), {})
    working.join()

    assert capsys.readouterr().out == "{'reply': 'We are sorry.'}\n"


def test_a_result_knows_its_cost_limitations_and_steps(running: CoordinatorThread) -> None:
    working = worker(running, b"1")
    with Client() as fleet:
        result = fleet.submit("refund-request", ORDER).result(timeout=20)
    working.join()

    assert (result.output, result.cost, result.cost_nano_usd) == (1, Decimal("0.0015"), 1_500_000)
    assert (result.limitations, result.steps) == (("no stock data",), ())


def test_submit_list_cancel_and_delete(running: CoordinatorThread) -> None:
    with Client() as fleet:
        task = fleet.submit("refund-request", ORDER, labels={"channel": "email"}, priority=70)
        assert (task.state, task.priority, task.labels) == ("queued", 70, {"channel": "email"})
        assert fleet.submit("refund-request", ORDER, idempotency_key="k").id == (
            fleet.submit("refund-request", ORDER, idempotency_key="k").id
        )
        page = fleet.list(labels={"channel": "email"}, state="queued")
        assert {*page.items} == {task}
        assert task.cancel().state == "cancelled"
        assert task.refresh().ended
        task.delete()
        assert fleet.why(f"task/{task.id}")["text"].startswith(f"{task.id} is cancelled")


def test_many_tasks_answer_one_by_one(running: CoordinatorThread) -> None:
    with Client() as fleet:
        answers = fleet.submit_many(
            [
                ("refund-request", ORDER),
                TaskRequest("refund-request", ORDER, pool="batch"),
                {"type": "nothing"},
            ]
        )

    assert [answer.task.pool if answer.task else None for answer in answers] == ["interactive", "batch", None]
    with pytest.raises(InvalidRequest, match="task type nothing does not exist"):
        answers[2].unwrap()


def test_errors_are_those_of_the_one_tree(running: CoordinatorThread) -> None:
    with Client() as fleet:
        with pytest.raises(InvalidRequest, match="did you mean refund-request") as wrong:
            fleet.submit("refund-requets", ORDER)
        assert wrong.value.field == "type"
        with pytest.raises(NotFound, match="task nonsense does not exist"):
            fleet.get("nonsense")
        with pytest.raises(Forbidden, match="admin key"):
            fleet.pause("fleet")
    with Client(api_key="wrong") as fleet, pytest.raises(Unauthorized, match="not known here"):
        fleet.list()


def test_an_admin_pauses_resumes_and_looks(running: CoordinatorThread) -> None:
    with Client(api_key=ADMIN_KEY) as admin:
        assert admin.pause("tenant/acme")["changed"]
        assert admin.resume("tenant/acme")["changed"]
        assert [pool["name"] for pool in admin.pools()] == ["batch", "interactive", "tiny"]
        assert "no plan yet" in admin.why("pool/batch")["text"]
        assert admin.list(tenant="acme").items == ()
        with pytest.raises(InvalidRequest, match="add tenant=NAME"):
            admin.list()
        misspelt: Any = {"tenant": "acme", "stat": "queued"}
        with pytest.raises(InvalidRequest, match="did you mean state"):
            admin.list(**misspelt)


def test_following_resumes_by_itself_when_the_connection_breaks(running: CoordinatorThread) -> None:
    """The transport cuts each stream after its first event; the follower still sees each event once."""
    cuts: list[str] = []

    class Cutting(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            if request.url.path.endswith("/events"):
                cuts.append(request.headers.get("last-event-id", ""))
                answer.stream = _CutAfterOneEvent(answer.stream)
            return answer

    with Client(transport=Cutting(), retries=50) as fleet:
        task = fleet.submit("refund-request", ORDER)
        working = worker(running, b"1")
        seen = [event.type for event in task.follow()]
        working.join()

    assert seen == ["started", "ended"]
    assert len(cuts) >= 2


class _CutAfterOneEvent(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            yield chunk
            if b"event:" in chunk:
                raise httpx.ReadError("cut")

    def close(self) -> None:
        self._stream.close()


def test_a_submit_whose_answer_is_lost_is_one_task(running: CoordinatorThread) -> None:
    class Losing(httpx.HTTPTransport):
        lost = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            if request.method == "POST" and self.lost < 2:
                self.lost += 1
                answer.read()
                raise httpx.ReadError("lost")
            return answer

    with Client(transport=Losing()) as fleet:
        task = fleet.submit("refund-request", ORDER)

        assert [found.id for found in fleet.list().items] == [task.id]


def test_without_a_coordinator_the_error_says_where_to_look() -> None:
    with (
        Client("http://127.0.0.1:1", "key", retries=1) as fleet,
        pytest.raises(Unavailable, match="AGENTFLEET_URL"),
    ):
        fleet.list()


def test_without_a_key_the_error_names_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("AGENTFLEET_API_KEY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(Unauthorized, match="AGENTFLEET_API_KEY"):
        Client("http://127.0.0.1:1")


def test_the_asynchronous_client_says_the_same_words(running: CoordinatorThread) -> None:
    async def program() -> tuple[list[str], Any, list[str]]:
        async with AsyncClient() as fleet:
            tasks = [await fleet.submit("refund-request", ORDER) for _ in range(2)]
            results = await asyncio.gather(*(task.result(timeout=20) for task in tasks))
            events = [event.type async for event in tasks[0].follow()]
            answers = await fleet.submit_many([("refund-request", ORDER)])
            await answers[0].unwrap().cancel()
            states = [task.state for task in (await fleet.list()).items]
            return states, [result.output for result in results], events

    working = worker(running, b"7", tasks=2)
    states, outputs, events = asyncio.run(program())
    working.join()

    assert states == ["cancelled", "succeeded", "succeeded"]
    assert outputs == [7, 7]
    assert events == ["started", "ended"]


def test_importing_the_sdk_loads_no_client() -> None:
    code = (
        "import sys, agentfleet; print(sorted({'httpx', 'pydantic', 'redis', 'fastapi'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
