"""The fork server as local mode holds it: whatever state it is in at the end, nobody outlives it."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentfleet_cli.local import children
from agentfleet_cli.local.fork_server import ForkServer

pytestmark = pytest.mark.xdist_group("local")

NO_REDIS = {
    "AGENTFLEET_REDIS_URL": "redis://127.0.0.1:1/0",
    "AGENTFLEET_POOL": "p",
    "AGENTFLEET_METRICS_PORT": "0",
}


async def test_it_is_stopped_at_once_while_it_imports(tmp_path: Path) -> None:
    server = await ForkServer.start({}, tmp_path / "log", lambda word, worker, event: None)
    await server.close()
    assert await server.ended() == -signal.SIGTERM


async def test_workers_of_one_that_hangs_are_gone_when_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "STOP_SECONDS", 0.1)
    pids: asyncio.Queue[int] = asyncio.Queue()

    def heard(word: str, worker: str, event: Mapping[str, Any]) -> None:
        if word == "started":
            pids.put_nowait(event["pid"])

    server = await ForkServer.start(NO_REDIS, tmp_path / "log", heard)
    await server.ready()
    await server.spawn("w1", {"AGENTFLEET_WORKER_ID": "w1"})
    worker = psutil.Process(await pids.get())
    worker.parent().suspend()
    await server.close()
    assert not worker.is_running()
