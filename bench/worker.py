"""How many agent tasks one worker process holds at once, and what a call costs in CPU and a task in memory.

One worker against the simulator with calls of 2 s and 33 events; tasks are agents of several turns with a
tool in between, started evenly over a call's duration. A level holds if the p95 of our own delay stays
within 50 ms: all of a turn's time beyond the provider's 2 s, from the response before to its own (tool,
journal, request, reserve, read), on this machine with provider and Redis beside it. The bare SDK does the
same streamed calls in a process of its own. The last line is JSON.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from tests.integration.worker.rig import PUBLISHED, Fleet

from agentfleet_cli.local.redis_server import redis_server
from agentfleet_core.settings import FleetId

ROOT = Path(__file__).parents[1]
CALL_SECONDS = 2.0
EVENTS = 33
DELAY_LIMIT_MS = 50.0
SDK_AT_ONCE = 60
SDK_ROUNDS = 4
PROMPT = "Look it up, then answer. sim:" + json.dumps(
    {
        "turns": [
            *[{"tool": "lookup", "input": {"order": "A-1"}}] * 3,
            {"text": "It has shipped.", "tokens": 60},
        ]
    }
)
TURNS = 4


def lookup(order: str) -> str:
    """Find an order."""
    return f"{order} has shipped"


@dataclass(frozen=True, slots=True)
class Level:
    tasks: int
    delay_p50_ms: float
    delay_p95_ms: float
    cpu_ms_per_call: float
    kib_per_task: float

    @property
    def holds(self) -> bool:
        return self.delay_p95_ms <= DELAY_LIMIT_MS


@contextlib.asynccontextmanager
async def process(*arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    try:
        yield started
    finally:
        if started.returncode is None:
            started.terminate()
            await started.communicate()


async def first_line(started: asyncio.subprocess.Process) -> dict[str, Any]:
    assert started.stdout is not None
    line: dict[str, Any] = json.loads(await started.stdout.readline())
    return line


async def sdk_cpu_ms(url: str) -> float:
    async with process("-m", "bench.worker_sdk", url, str(SDK_AT_ONCE), str(SDK_ROUNDS)) as bare:
        return float((await first_line(bare))["cpu_ms_per_call"])


async def run_level(fleet: Fleet, worker: psutil.Process, tasks: int, rss_idle: int) -> Level:
    """`rss_idle`: the worker's memory once warm, before it held many tasks."""
    cpu_before = cpu_seconds(worker)
    ids: list[str] = []
    for _ in range(tasks):
        ids.append(await fleet.submit("look-up", message=PROMPT))
        await asyncio.sleep(0.95 * CALL_SECONDS / tasks)
    await asyncio.sleep(CALL_SECONDS)  # all are in their second call
    rss_held = worker.memory_info().rss
    for task in ids:
        await fleet.ended(task)
    cpu = cpu_seconds(worker) - cpu_before
    delays = sorted(await own_delays_ms(fleet, ids))
    return Level(
        tasks,
        delays[len(delays) // 2],
        delays[int(0.95 * len(delays))],
        1_000 * cpu / (tasks * TURNS),
        max(0, rss_held - rss_idle) / 1_024 / tasks,
    )


def cpu_seconds(worker: psutil.Process) -> float:
    times = worker.cpu_times()
    return float(times.user + times.system)


async def own_delays_ms(fleet: Fleet, tasks: Sequence[str]) -> list[float]:
    """Of each turn: from the claim, or the response before, to its response, less what the provider took."""
    delays: list[float] = []
    for task in tasks:
        before = (await fleet.record(task)).started_ms
        responses = [step.ended_ms for step in (await fleet.steps(task)).values() if step.kind == "llm"]
        for ended in sorted(responses):
            delays.append(ended - before - 1_000 * CALL_SECONDS)
            before = ended
    return delays


async def measure(levels: Sequence[int]) -> dict[str, Any]:
    with redis_server(append_only=True) as redis, tempfile.TemporaryDirectory() as folder:
        knobs = ("--seconds", str(CALL_SECONDS), "--events", str(EVENTS), "--jitter", "0")
        async with process("-m", "agentfleet_cli.simulator", "--port", "0", *knobs) as simulator:
            url = (await first_line(simulator))["url"]
            bare = await sdk_cpu_ms(url)
            print(f"bare SDK: {bare:.2f} ms of CPU a call", flush=True)
            secret = Path(folder) / "provider"
            secret.mkdir()
            (secret / "api-key").write_text("bench")
            fleet = Fleet(redis, FleetId("bench", "worker"), url, Path(folder))
            try:
                held = await climb(fleet, levels)
            finally:
                await fleet.close()
    holding = [level for level in held if level.holds]
    best = holding[-1] if holding else held[0]
    return {
        "tasks_at_once": best.tasks if holding else 0,
        "cpu_ms_per_call": round(best.cpu_ms_per_call, 2),
        "sdk_cpu_ms_per_call": round(bare, 2),
        "kib_per_task": round(best.kib_per_task, 1),
        "delay_p95_ms": round(best.delay_p95_ms, 1),
        "call_seconds": CALL_SECONDS,
        "events_per_call": EVENTS,
    }


async def climb(fleet: Fleet, levels: Sequence[int]) -> list[Level]:
    fleet.prices = PUBLISHED
    fleet.tenant("acme", {"name": "day", "period": "Day", "amount": "1000.00"})
    fleet.pool(concurrency=1_000)
    agent = {"prompt": "{{ input.message }}", "tools": ["bench.worker:lookup"], "maxOutputTokens": 300}
    fleet.type("look-up", agent={**agent, "system": "You answer customers of a shop."})
    await fleet.publish()
    settings = {
        "REDIS_URL": fleet.url, "INSTALL": fleet.id.install, "NAMESPACE": fleet.id.namespace,
        "POOL": "interactive", "WORKER_ID": "w1", "SECRETS_DIR": str(fleet.secrets), "METRICS_PORT": "0",
    }  # fmt: skip
    environment = {f"AGENTFLEET_{name}": value for name, value in settings.items()}
    async with process("-m", "agentfleet_worker", **environment) as started:
        worker = psutil.Process(started.pid)
        await run_level(fleet, worker, 20, 0)  # warm: imports, connections, scripts
        rss_idle = worker.memory_info().rss
        held: list[Level] = []
        for tasks in levels:
            level = await run_level(fleet, worker, tasks, rss_idle)
            print(level, flush=True)
            if not level.holds:  # once more: another process's burst must not decide
                level = await run_level(fleet, worker, tasks, rss_idle)
                print(level, flush=True)
            held.append(level)
            if not level.holds:
                break
        return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--levels", type=int, nargs="+", default=[200, 250, 300, 350])
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.levels))))


if __name__ == "__main__":
    main()
