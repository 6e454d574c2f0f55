"""A full backlog drained by one worker process, beside eight task queues; then how soon an idle one starts.

Ours is the real worker as shipped, 100 tasks at once: each task is one journaled step, over 20 tenants, with
results, journal, fencing, leases and fair share on. All of it is checked afterwards: every task ended once,
with its result and its journal. Time runs from the first start to the last end, by Redis's clock.
A peer is one worker process on the same machine, an empty handler, results kept (ChasquiMQ has none), tuned
as bench/peers says, in a virtual environment of its own under ~/.cache/agentfleet. Its time runs from the
first start to the last start. Each run has a fresh Redis with an append-only file, synced each second.

    python -m bench.queue [--tasks 100000] [--tenants 20] [--rounds 3] [--latency-tasks 400]
                          [--peers all|none|arq,saq,…] [--peer-python PATH] [--peer-redis PATH] [--no-http]

Peers that need more than Redis 6.2: streaq (7 or newer, runs on a Valkey wheel), ChasquiMQ (8.6 or newer,
from a wheel where glibc is 2.39 or newer, else name a server). ArdiQ, streaq and ChasquiMQ need Python 3.12.

The last line is JSON: tasks_per_s, peers (name to tasks/s), start_p50_ms, start_p99_ms, http_start_p50_ms.
"""

import argparse
import asyncio
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import psutil
from bench.peers.run import PEERS, drain_peer

from agentfleet_cli.local.redis_server import RedisServer, free_port, redis_server
from agentfleet_core.fleet.config import FleetConfig, key_hash
from agentfleet_core.fleet.store import publish
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.envelope import Envelope, TaskState
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId

FLEET = FleetId("bench", "default")
POOL, KIND, HANDLER = "bench", "one-step", "bench.queue_handlers:one_step"
PRICE = {"input": "1", "output": "5", "cacheRead": "0.1", "cacheWrite5m": "1.25", "cacheWrite1h": "2"}
KEY = "bench-key-0123456789abcdef"
CONCURRENCY = 100
GAP_SECONDS = 0.02
"""Mean time between the submits of the latency run; Poisson, seeded."""


def main() -> None:
    options = _options()
    drains: list[float] = []
    peers: dict[str, list[float]] = {}
    for round_ in range(options.rounds):
        with redis_server(append_only=True) as server:
            found = asyncio.run(_drain(server, options))
        drains.append(found["tasks_per_s"])
        print(f"round {round_ + 1} agentfleet: {found}", flush=True)
        for name in options.peers:
            rate, note = drain_peer(name, options.peer_python, options.peer_redis)
            print(f"round {round_ + 1} {name}: {f'{rate:,.0f} tasks/s' if rate else note}", flush=True)
            if rate:
                peers.setdefault(name, []).append(rate)
    with redis_server(append_only=True) as server:
        starts = asyncio.run(_starts(server, options, over_http=False))
        http_starts = [] if options.no_http else asyncio.run(_starts(server, options, over_http=True))
    result = {
        "tasks_per_s": round(statistics.median(drains)),
        "peers": {name: round(statistics.median(rates)) for name, rates in peers.items()},
        "start_p50_ms": _percentile(starts, 50),
        "start_p99_ms": _percentile(starts, 99),
        "http_start_p50_ms": _percentile(http_starts, 50),
        "http_start_p99_ms": _percentile(http_starts, 99),
    }
    print(json.dumps(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--tenants", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency-tasks", type=int, default=400)
    parser.add_argument("--peers", default="all")
    parser.add_argument("--peer-python", default="")
    parser.add_argument("--peer-redis", default="")
    parser.add_argument("--no-http", action="store_true")
    options = parser.parse_args()
    chosen = {"all": ",".join(PEERS), "none": ""}.get(options.peers, options.peers)
    options.peers = [name for name in chosen.split(",") if name]
    unknown = set(options.peers) - set(PEERS)
    if unknown:
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    return options


def _config(tenants: int) -> FleetConfig:
    names = [f"tenant-{number}" for number in range(tenants)]
    hashes = [key_hash(KEY.encode())]
    return FleetConfig.model_validate({
        "install": FLEET.install,
        "namespace": FLEET.namespace,
        "pools": {POOL: {"spec": {"concurrency": CONCURRENCY}, "revision": "r1"}},
        "taskTypes": {KIND: {"pool": POOL, "tier": {"default": "fast"}, "handler": HANDLER}},
        "tenants": {
            name: {"budget": name, "spec": {"tenant": name}, "keyHashes": hashes if number == 0 else []}
            for number, name in enumerate(names)
        },
        "tiers": {"fast": {"rank": 1, "models": [{"name": "m", "prices": [{
            "effectiveFrom": "2026-01-01",
            "bands": [PRICE],
        }]}]}},
    })  # fmt: skip


def _envelope(tenant: str, number: int, sent_at: float) -> Envelope:
    return Envelope(
        id=new_task_id(POOL),
        tenant=tenant,
        type=KIND,
        priority=50,
        revision="r1",
        tier="fast",
        tier_reason="Default",
        input=orjson.dumps({"number": number, "sent_at": sent_at}),
    )


@contextmanager
def _service(module: str, server: RedisServer, **more: str) -> Iterator["subprocess.Popen[bytes]"]:
    environ = {
        **os.environ,
        "AGENTFLEET_REDIS_URL": server.url,
        "AGENTFLEET_INSTALL": FLEET.install,
        "AGENTFLEET_NAMESPACE": FLEET.namespace,
        "AGENTFLEET_METRICS_PORT": str(free_port()),
        **more,
    }
    process = subprocess.Popen([sys.executable, "-m", module], env=environ)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _worker(server: RedisServer) -> Any:
    return _service("agentfleet_worker", server, AGENTFLEET_POOL=POOL, AGENTFLEET_WORKER_ID="w1",
                    AGENTFLEET_REVISION="r1")  # fmt: skip


async def _drain(server: RedisServer, options: argparse.Namespace) -> dict[str, float]:
    redis = connect(server.url)
    queue = PoolQueue(redis, FLEET, POOL)
    await publish(redis, FleetKeys(FLEET), _config(options.tenants), 1)
    envelopes = [_envelope(f"tenant-{n % options.tenants}", n, 0.0) for n in range(options.tasks)]
    submitted = time.perf_counter()
    for start in range(0, options.tasks, 1_000):
        await queue.submit(envelopes[start : start + 1_000])
    submit_seconds = time.perf_counter() - submitted
    redis_process = psutil.Process(server.process.pid)
    with _worker(server) as worker:
        while (await queue.counters()).started_total == 0:  # noqa: ASYNC110  # from outside there is no event
            await asyncio.sleep(0.005)
        before = _cpu(psutil.Process(worker.pid)), _cpu(redis_process)
        while (await queue.counters()).ended_total < options.tasks:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        after = _cpu(psutil.Process(worker.pid)), _cpu(redis_process)
    seconds = await _verified(queue, [envelope.id for envelope in envelopes])
    await redis.aclose()
    return {
        "tasks_per_s": round(options.tasks / seconds),
        "worker_cpu_us": round((after[0] - before[0]) / options.tasks * 1e6, 1),
        "redis_cpu_us": round((after[1] - before[1]) / options.tasks * 1e6, 1),
        "submits_per_s": round(options.tasks / submit_seconds),
    }


async def _verified(queue: PoolQueue, ids: list[str]) -> float:
    """The seconds from the first start to the last end, once it is sure that each task did what it should."""
    first, last = float("inf"), 0
    for start in range(0, len(ids), 500):
        for number, record in enumerate(await queue.get(ids[start : start + 500]), start):
            assert record is not None
            assert record.state is TaskState.SUCCEEDED, record
            assert record.attempt == 1
            assert orjson.loads(record.output)["number"] == number
            first, last = min(first, record.started_ms), max(last, record.ended_ms)
    for task_id in ids[:: max(1, len(ids) // 500)]:
        assert len(await queue.steps(task_id)) == 1
    counters = await queue.counters()
    assert (counters.waiting, counters.running, counters.ended_total) == (0, 0, len(ids)), counters
    assert await queue.audit(deep=True)
    return (last - first) / 1000


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _starts(server: RedisServer, options: argparse.Namespace, *, over_http: bool) -> list[float]:
    """Milliseconds from before the submit to the handler's first line, the worker idle in between."""
    redis = connect(server.url)
    queue = PoolQueue(redis, FLEET, POOL)
    await publish(redis, FleetKeys(FLEET), _config(options.tenants), 1)
    with _worker(server):
        await _until_idle(queue)
        if over_http:
            port = free_port()
            with _service("agentfleet_coordinator", server, AGENTFLEET_PORT=str(port)):
                ids = await asyncio.to_thread(_submit_over_http, port, options.latency_tasks)
        else:
            ids = await _submit(queue, options.latency_tasks)
        records = []
        for task_id in ids:
            async for _ in queue.follow(task_id):
                pass
            records += await queue.get([task_id])
    await redis.aclose()
    return [orjson.loads(record.output)["waited_ms"] for record in records if record is not None]


async def _until_idle(queue: PoolQueue) -> None:
    while not await queue.workers():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)


async def _submit(queue: PoolQueue, count: int) -> list[str]:
    chance = random.Random(7)
    ids = []
    for number in range(count):
        await asyncio.sleep(chance.expovariate(1 / GAP_SECONDS))
        envelope = _envelope("tenant-0", number, time.time())
        await queue.submit([envelope])
        ids.append(envelope.id)
    return ids


def _submit_over_http(port: int, count: int) -> list[str]:
    chance = random.Random(7)
    connection = _connected(port)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    ids = []
    for number in range(count):
        time.sleep(chance.expovariate(1 / GAP_SECONDS))
        body = {"type": KIND, "input": {"number": number, "sent_at": time.time()}}
        connection.request("POST", "/v1/tasks", json.dumps(body), headers)
        response = connection.getresponse()
        task = json.loads(response.read())
        assert response.status == 201, task
        ids.append(task["id"])
    return ids


def _connected(port: int) -> http.client.HTTPConnection:
    end = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                return connection
        except OSError:
            pass
        if time.monotonic() > end:
            raise TimeoutError("the coordinator did not become ready")
        time.sleep(0.05)


def _percentile(numbers: list[float], percent: int) -> float | None:
    if not numbers:
        return None
    return round(sorted(numbers)[min(len(numbers) - 1, len(numbers) * percent // 100)], 3)


if __name__ == "__main__":
    main()
