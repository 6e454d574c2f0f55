"""One coordinator process under load: submits with key, schema check and idempotency key, over real HTTP.

First one by one from many connections, then in batches. The load comes from a process of its own that speaks
HTTP/1.1 over plain sockets, so that it costs as little as it can on the same machine. The peer is what most
people would write first, in the same layout: a FastAPI route with a pydantic model, and two Redis scripts
awaited one after the other.

    python -m bench.coordinator [--seconds 8] [--connections 64] [--batches 100] [--rounds 2] [--no-peer]

The last line is JSON: submits_per_s, submit_p99_ms, batch_tasks_per_s (medians of the rounds), the peer's,
and CPU time per task of the service and of Redis, which other load on the machine hardly changes.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from agentfleet_cli.local.redis_server import RedisServer, free_port, redis_server
from agentfleet_core.fleet.config import FleetConfig, key_hash
from agentfleet_core.fleet.store import publish
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.settings import FleetId

KEY = "bench-key-0123456789abcdef"
FLEET = FleetId("bench", "default")
SCHEMA = {
    "type": "object",
    "required": ["order", "message"],
    "additionalProperties": False,
    "properties": {"order": {"type": "string", "maxLength": 40}, "message": {"type": "string"}},
}
PRICE = {"input": "1", "output": "5", "cacheRead": "0.1", "cacheWrite5m": "1.25", "cacheWrite1h": "2"}
CONFIG = {
    "install": FLEET.install,
    "namespace": FLEET.namespace,
    "pools": {"interactive": {"spec": {"maxQueued": 10_000_000}, "revision": "r1"}},
    "taskTypes": {
        "refund-request": {
            "pool": "interactive",
            "tier": {"default": "fast"},
            "agent": {"prompt": "Order {{ input.order }}: {{ input.message }}"},
            "inputSchema": SCHEMA,
        }
    },
    "tenants": {
        "acme": {"budget": "acme", "spec": {"tenant": "acme"}, "keyHashes": [key_hash(KEY.encode())]}
    },
    "tiers": {
        "fast": {
            "rank": 1,
            "models": [{"name": "m", "prices": [{"effectiveFrom": "2026-01-01", "bands": [PRICE]}]}],
        }
    },
}


def main() -> None:
    options = _options()
    if options.load:
        print(json.dumps(asyncio.run(_load(options))))
        return
    figures: dict[str, list[float]] = {}
    for round_ in range(options.rounds):
        for name, module in (("", "agentfleet_coordinator"), ("peer_", "bench.coordinator_peer")):
            if name and options.no_peer:
                continue
            found = _measure(module, options, batches=not name)
            print(f"round {round_ + 1} {module}: {found}", flush=True)
            for figure, value in found.items():
                figures.setdefault(name + figure, []).append(value)
    print(json.dumps({name: round(statistics.median(values), 1) for name, values in figures.items()}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Load on one coordinator process.")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--batches", type=int, default=100, help="batches of 1,000 tasks")
    parser.add_argument("--batch-connections", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--load", default="", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(module: str, options: argparse.Namespace, *, batches: bool) -> dict[str, float]:
    """A fresh Redis and a fresh process; Redis appends to its file, as shipped."""
    with redis_server() as redis, _service(module, redis) as (port, process):
        found: dict[str, float] = {}
        for kind in ("single", "batch") if batches else ("single",):
            processes = {"service": psutil.Process(process.pid), "redis": psutil.Process(redis.process.pid)}
            before = {name: sum(each.cpu_times()[:2]) for name, each in processes.items()}
            load = _run_load(options, port, kind)
            sent = load.pop("sent")
            found |= load
            for name, each in processes.items():
                used = sum(each.cpu_times()[:2]) - before[name]
                found[f"{kind}_{name}_cpu_us"] = round(used / sent * 1e6, 1)
        return found


@contextmanager
def _service(module: str, redis: RedisServer) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    asyncio.run(_publish(redis))
    port = free_port()
    environment = os.environ | {
        "AGENTFLEET_REDIS_URL": redis.url,
        "AGENTFLEET_INSTALL": FLEET.install,
        "AGENTFLEET_NAMESPACE": FLEET.namespace,
        "AGENTFLEET_PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-m", module], env=environment)
    try:
        _wait_until_up(process, port)
        yield port, process
    finally:
        process.terminate()
        process.wait(30)


async def _publish(redis: RedisServer) -> None:
    client = connect(redis.url)
    await publish(client, FleetKeys(FLEET), FleetConfig.model_validate(CONFIG), term=1)
    await client.aclose()


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit("the service ended at its start")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the service did not come up")


def _run_load(options: argparse.Namespace, port: int, kind: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.coordinator", "--load", kind, "--port", str(port)]
    for name in ("seconds", "connections", "batches", "batch_connections"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(output)
    return found


async def _load(options: argparse.Namespace) -> dict[str, float]:
    if options.load == "single":
        return await _load_single(options)
    return await _load_batches(options)


async def _load_single(options: argparse.Namespace) -> dict[str, float]:
    latencies: list[float] = []
    sent = [0] * options.connections
    warm_until = time.perf_counter() + 1.0
    end = warm_until + options.seconds

    async def client(number: int) -> None:
        connection = await _Connection.open(options.port)
        while (began := time.perf_counter()) < end:
            body = b'{"type":"refund-request","input":{"order":"A-%d-%d","message":"It arrived broken."}}' % (
                number,
                sent[number],
            )
            status = await connection.post(b"/v1/tasks", body, b"%d-%d" % (number, sent[number]))
            if status != 201:
                raise SystemExit(f"answered {status}")
            sent[number] += 1
            if began >= warm_until:
                latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(client(number) for number in range(options.connections)))
    latencies.sort()
    return {
        "sent": sum(sent),
        "submits_per_s": round(len(latencies) / options.seconds, 1),
        "submit_p50_ms": round(latencies[len(latencies) // 2] * 1e3, 2),
        "submit_p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1e3, 2),
    }


async def _load_batches(options: argparse.Namespace) -> dict[str, float]:
    """Bodies are made beforehand: what is measured is the coordinator, not the client's JSON."""
    bodies = [_batch_body(number) for number in range(options.batches)]
    bodies.reverse()

    async def client() -> None:
        connection = await _Connection.open(options.port)
        while bodies:
            status = await connection.post(b"/v1/tasks/batch", bodies.pop(), b"")
            if status != 200:
                raise SystemExit(f"answered {status}")

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(options.batch_connections)))
    rate = round(options.batches * 1_000 / (time.perf_counter() - began), 1)
    return {"sent": options.batches * 1_000, "batch_tasks_per_s": rate}


def _batch_body(number: int) -> bytes:
    tasks = [
        {
            "type": "refund-request",
            "input": {"order": f"B-{number}-{item}", "message": "It arrived broken."},
            "idempotency_key": f"batch-{number}-{item}",
        }
        for item in range(1_000)
    ]
    return json.dumps({"tasks": tasks}).encode()


class _Connection:
    """HTTP/1.1, one request at a time, answers with a Content-Length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "_Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 22))

    async def post(self, path: bytes, body: bytes, key: bytes) -> int:
        header = b"Idempotency-Key: %s\r\n" % key if key else b""
        self._writer.write(
            b"POST %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n%s"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (path, KEY.encode(), header, len(body), body)
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        await self._reader.readexactly(int(head[start : lower.index(b"\r\n", start)]))
        return int(head[9:12])


if __name__ == "__main__":
    import uvloop

    uvloop.install()
    main()
