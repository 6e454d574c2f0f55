"""The side door: metrics and probes, and nothing that a stranger can hold open."""

import asyncio

import pytest

from agentfleet_core.telemetry import metrics
from agentfleet_core.telemetry.server import ProbeServer


async def ask(server: ProbeServer, head: bytes) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head)
    answer = await reader.read()
    writer.close()
    status, _, rest = answer.partition(b"\r\n")
    return int(status.split()[1]) if status else 0, rest.partition(b"\r\n\r\n")[2]


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


async def test_a_scrape_gets_what_was_counted() -> None:
    metrics.RESERVES.labels("reserved").inc()
    async with ProbeServer("127.0.0.1", 0) as server:
        status, body = await ask(server, get("/metrics?a=b"))
    assert status == 200
    assert b'agentfleet_reserves_total{outcome="reserved"}' in body
    assert b"process_cpu_seconds_total" in body


async def test_readiness_says_what_is_missing_and_liveness_does_not_care() -> None:
    missing = ["no fleet config yet"]
    async with ProbeServer("127.0.0.1", 0, ready=lambda: "".join(missing)) as server:
        assert await ask(server, get("/readyz")) == (503, b"no fleet config yet\n")
        assert await ask(server, get("/healthz")) == (200, b"ok\n")
        missing.clear()
        assert await ask(server, get("/readyz")) == (200, b"ok\n")


@pytest.mark.parametrize(
    ("head", "status"),
    [(get("/"), 404), (get("/metrics", "POST"), 405), (b"\r\n\r\n", 405), (b"GET\r\n\r\n", 405)],
)
async def test_anything_else_is_refused(head: bytes, status: int) -> None:
    async with ProbeServer("127.0.0.1", 0) as server:
        assert (await ask(server, head))[0] == status


@pytest.mark.parametrize("rubbish", [b"x" * 40_000, b"\x00\xff\r\n" * 9_000])
async def test_a_head_without_end_is_cut_off_and_the_next_caller_is_served(rubbish: bytes) -> None:
    async with ProbeServer("127.0.0.1", 0) as server:
        try:
            status, _ = await ask(server, rubbish)
        except ConnectionError:
            status = 0
        assert status == 0
        assert (await ask(server, get("/healthz")))[0] == 200


async def test_a_caller_that_leaves_early_leaves_nothing_behind() -> None:
    async with ProbeServer("127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /hea")
        writer.close()
        await writer.wait_closed()
        assert (await ask(server, get("/healthz")))[0] == 200
