"""A thousand pools on a real kube-apiserver: how fast a pool wakes, a hundred at once, and what idling costs.

A wake is timed from a first task accepted to its Deployment patched, as a watch of this process sees it. The
burst submits to a hundred pools at once. Then everything goes back to zero, and two operators are left alone:
their writes are counted in the API server's audit log, their CPU by the process's own times.

python -m bench.scaling [--pools 1000] [--wakes 200] [--burst 100] [--idle-seconds 600]

The last line is JSON: pools, wake_p50_ms, wake_p99_ms, burst_last_ms, idle_writes_per_min (all but Leases),
idle_cpu_share (of one core, both operators together), rss_mib (of the leader).
"""

import argparse
import asyncio
import json
import os
import random
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
from redis.asyncio import Redis
from tests.servers.kube import WRITES, KubeApiserver, kube_apiserver

from agentfleet_cli.local.redis_server import redis_server
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.queue.envelope import Envelope, SettleKind, Settlement
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId

NAMESPACE = "bench"
FLEET = FleetId("agentfleet", NAMESPACE)
POOLS = f"/apis/agentfleet.dev/v1alpha1/namespaces/{NAMESPACE}/agentpools"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
OPERATOR = "agentfleet-operator"
QUIET_SECONDS = 15.0
"""After the last change: what may be written once in ten seconds has then been written."""
FORGOTTEN_SECONDS = 100.0
"""After the last task: the rate of the last minute has then fallen to zero in every status, which is a
change.
"""


@dataclass
class Watched:
    """Deployments as a watch of this process sees them."""

    replicas: dict[str, int] = field(default_factory=dict)
    """By pool."""
    patched: dict[str, float] = field(default_factory=dict)
    """Pool to the time (perf_counter) at which its Deployment was first seen to ask for a worker."""
    bell: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def see(self, deployment: dict[str, Any]) -> None:
        at = time.perf_counter()
        pool = deployment["metadata"]["labels"]["agentfleet.dev/pool"]
        self.replicas[pool] = deployment["spec"]["replicas"]
        if self.replicas[pool] and pool not in self.patched:
            self.patched[pool] = at
        async with self.bell:
            self.bell.notify_all()

    async def until_woken(self, pools: Iterable[str]) -> None:
        wanted = set(pools)
        async with self.bell:
            await self.bell.wait_for(lambda: wanted <= self.patched.keys())

    async def until_all(self, count: int, replicas: int) -> None:
        async with self.bell:
            await self.bell.wait_for(
                lambda: len(self.replicas) == count and set(self.replicas.values()) == {replicas}
            )


async def follow(http: httpx.AsyncClient, watched: Watched) -> None:
    """Until cancelled; the watch begins before the first pool is made, so it misses nothing."""
    async with http.stream("GET", DEPLOYMENTS, params={"watch": "true"}, timeout=None) as stream:
        async for line in stream.aiter_lines():
            await watched.see(orjson.loads(line)["object"])
    raise RuntimeError("the watch ended")


@contextmanager
def operators(kube: KubeApiserver, redis_url: str, folder: Path) -> Iterator[list[psutil.Process]]:
    """Two, with shipped defaults."""
    environment = {
        **os.environ,
        "KUBECONFIG": str(kube.kubeconfig),
        "AGENTFLEET_REDIS_URL": redis_url,
        "AGENTFLEET_METRICS_PORT": "0",
    }
    started = []
    try:
        for number in (1, 2):
            log = (folder / f"operator-{number}.log").open("wb")
            command = [sys.executable, "-m", "agentfleet_operator"]
            started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        yield [psutil.Process(one.pid) for one in started]
    finally:
        for one in started:
            one.terminate()
        for one in started:
            one.wait(20)


@asynccontextmanager
async def admin(kube: KubeApiserver) -> AsyncIterator[httpx.AsyncClient]:
    context = ssl.create_default_context(cafile=str(kube.ca_file))
    headers = {"Authorization": f"Bearer {kube.token}"}
    async with httpx.AsyncClient(
        base_url=kube.url, verify=context, headers=headers, timeout=60.0, trust_env=False
    ) as http:
        yield http


async def make_pools(http: httpx.AsyncClient, names: Sequence[str]) -> None:
    at_once = asyncio.Semaphore(8)

    async def make(name: str) -> None:
        body = {
            "apiVersion": "agentfleet.dev/v1alpha1",
            "kind": "AgentPool",
            "metadata": {"name": name},
            "spec": {"scaling": {"stabilizationSeconds": 0, "idleSecondsToZero": 0}},
        }
        async with at_once:
            (await http.post(POOLS, json=body)).raise_for_status()

    await asyncio.gather(*(make(name) for name in names))


async def submit(redis: Redis, pool: str) -> float:
    """The time (perf_counter) at which the task was accepted."""
    envelope = Envelope(
        id=new_task_id(pool),
        tenant="acme",
        type="refund",
        priority=50,
        revision="",
        tier="fast",
        tier_reason="Default",
        input=b"{}",
    )
    await PoolQueue(redis, FLEET, pool).submit([envelope])
    return time.perf_counter()


async def finish(redis: Redis, pool: str) -> None:
    """Do the pool's task, as a worker would."""
    queue = PoolQueue(redis, FLEET, pool)
    claims = await queue.claim("bench-worker", 1, lease_ms=60_000)
    await queue.settle([Settlement(one.envelope.id, one.attempt, SettleKind.END) for one in claims])
    await queue.forget("bench-worker")


async def wakes(redis: Redis, watched: Watched, pools: Sequence[str]) -> list[float]:
    """Milliseconds, one pool after the other."""
    took = []
    for pool in pools:
        accepted = await submit(redis, pool)
        await watched.until_woken([pool])
        took.append((watched.patched[pool] - accepted) * 1_000)
        await asyncio.sleep(random.uniform(0.02, 0.08))
    return took


async def burst(redis: Redis, watched: Watched, pools: Sequence[str]) -> float:
    """Milliseconds from the first acceptance to the last Deployment."""
    accepted = await asyncio.gather(*(submit(redis, pool) for pool in pools))
    await watched.until_woken(pools)
    return (max(watched.patched[pool] for pool in pools) - min(accepted)) * 1_000


def written(kube: KubeApiserver, offset: int) -> tuple[list[str], int]:
    """What operators wrote since this offset of the audit log, Leases left out; the new offset."""
    with kube.audit_log.open("rb") as log:
        log.seek(offset)
        lines = log.readlines()
    events = [orjson.loads(line) for line in lines if line.endswith(b"\n")]
    writes = [
        f"{one['verb']} {one['requestURI']}"
        for one in events
        if one["verb"] in WRITES
        and one.get("userAgent") == OPERATOR
        and one["objectRef"]["resource"] != "leases"
    ]
    return writes, offset + sum(len(line) for line in lines if line.endswith(b"\n"))


async def until_quiet(kube: KubeApiserver, seconds: float = QUIET_SECONDS) -> int:
    """Await so long without writes; the audit log's offset."""
    offset, quiet_since = kube.audit_log.stat().st_size, time.monotonic()
    while time.monotonic() - quiet_since < seconds:
        await asyncio.sleep(1.0)
        writes, offset = written(kube, offset)
        if writes:
            quiet_since = time.monotonic()
    return offset


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in processes)


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


async def idle(kube: KubeApiserver, processes: Sequence[psutil.Process], seconds: float) -> dict[str, float]:
    offset = await until_quiet(kube, FORGOTTEN_SECONDS)
    say(f"idle for {seconds:g} s")
    before, began = cpu_seconds(processes), time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    share = (cpu_seconds(processes) - before) / took
    writes, _ = written(kube, offset)
    for line in writes[:10]:
        say(f"written while idle: {line}")
    return {"idle_writes_per_min": round(len(writes) / took * 60, 2), "idle_cpu_share": round(share, 4)}


async def measure(arguments: argparse.Namespace, kube: KubeApiserver, redis_url: str, folder: Path) -> Any:
    names = [f"pool-{number:04d}" for number in range(arguments.pools)]
    chosen = random.Random(1).sample(names, min(len(names), arguments.wakes + arguments.burst))
    singles, together = chosen[: -arguments.burst], chosen[-arguments.burst :]
    kube.create_namespace(NAMESPACE)
    redis, watched = connect(redis_url), Watched()
    async with admin(kube) as http:
        following = asyncio.create_task(follow(http, watched))
        with operators(kube, redis_url, folder) as processes:
            began = time.monotonic()
            await make_pools(http, names)
            await watched.until_all(len(names), 0)
            say(f"{len(names)} pools have their Deployments after {time.monotonic() - began:.1f} s")
            await until_quiet(kube)
            took = await wakes(redis, watched, singles)
            say(f"{len(took)} wakes: p50 {percentile(took, 50):.1f} ms, p99 {percentile(took, 99):.1f} ms")
            await until_quiet(kube)
            last = await burst(redis, watched, together)
            say(f"{len(together)} at once: the last after {last:.0f} ms")
            for pool in chosen:
                await finish(redis, pool)
            await watched.until_all(len(names), 0)
            say("all back at zero")
            rest = await idle(kube, processes, arguments.idle_seconds)
            rss = max(one.memory_info().rss for one in processes) / 2**20
        following.cancel()
    await redis.aclose()
    return {
        "pools": len(names),
        "wake_p50_ms": round(percentile(took, 50), 1),
        "wake_p99_ms": round(percentile(took, 99), 1),
        "burst_last_ms": round(last, 1),
        **rest,
        "rss_mib": round(rss, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pools", type=int, default=int(os.environ.get("POOLS", "1000")))
    parser.add_argument("--wakes", type=int, default=int(os.environ.get("WAKES", "200")))
    parser.add_argument("--burst", type=int, default=int(os.environ.get("BURST", "100")))
    parser.add_argument("--idle-seconds", type=float, default=float(os.environ.get("IDLE_SECONDS", "600")))
    arguments = parser.parse_args()
    say("a kube-apiserver and a Redis are started")
    with (
        tempfile.TemporaryDirectory(prefix="agentfleet-bench-") as folder,
        kube_apiserver() as kube,
        redis_server() as redis,
    ):
        try:
            result = asyncio.run(measure(arguments, kube, redis.url, Path(folder)))
        except BaseException:
            for log in sorted(Path(folder).glob("*.log")):
                say(f"{log.name}:\n{log.read_text()[-3000:]}")
            raise
    print(json.dumps(result))


if __name__ == "__main__":
    main()
