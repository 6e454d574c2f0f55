"""A worker that is told to stop ends within its grace period, whatever keeps it: nobody has to kill it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.worker.rig import POOL, Fleet

from agentfleet_cli.local.redis_server import RedisServer

ROOT = Path(__file__).parents[3]
FAR_LESS_THAN_THE_TASK_SECONDS = 20


@asynccontextmanager
async def worker(fleet: Fleet) -> AsyncIterator[asyncio.subprocess.Process]:
    settings = {
        "AGENTFLEET_REDIS_URL": fleet.url,
        "AGENTFLEET_INSTALL": fleet.id.install,
        "AGENTFLEET_NAMESPACE": fleet.id.namespace,
        "AGENTFLEET_POOL": POOL,
        "AGENTFLEET_WORKER_ID": "w1",
        "AGENTFLEET_SECRETS_DIR": str(fleet.secrets),
        "AGENTFLEET_METRICS_PORT": "0",
        "AGENTFLEET_GRACE_SECONDS": "1",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agentfleet_worker", env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def hanging(redis: RedisServer) -> AsyncIterator[None]:
    redis.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        redis.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("handler", ["sleep_after_a_step", "plain_function"])
async def test_it_ends_although_redis_hangs(fleet: Fleet, redis: RedisServer, handler: str) -> None:
    fleet.handler(handler)
    await fleet.publish()
    async with worker(fleet) as process:
        task = await fleet.submit(handler.replace("_", "-"), seconds=600)
        await fleet.event(task, "started")
        async with hanging(redis):
            process.terminate()
            async with asyncio.timeout(FAR_LESS_THAN_THE_TASK_SECONDS):
                assert await process.wait() == 0
