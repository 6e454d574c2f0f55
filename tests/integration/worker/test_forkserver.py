"""The fork server starts, drains and kills workers, reports every end, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from tests.integration.worker.rig import Fleet, output


class Server:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agentfleet_worker.forkserver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def say(self, **order: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else {}

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)


@pytest.fixture(scope="module")
def fork_server() -> Iterator[Server]:
    server = Server()
    assert server.hear() == {"event": "ready"}
    yield server
    server.close()


def environment(fleet: Fleet, worker: str) -> dict[str, str]:
    return {
        "AGENTFLEET_REDIS_URL": fleet.url,
        "AGENTFLEET_INSTALL": fleet.id.install,
        "AGENTFLEET_NAMESPACE": fleet.id.namespace,
        "AGENTFLEET_POOL": "interactive",
        "AGENTFLEET_REVISION": "r1",
        "AGENTFLEET_WORKER_ID": worker,
        "AGENTFLEET_SECRETS_DIR": str(fleet.secrets),
        "AGENTFLEET_METRICS_PORT": "0",
        "AGENTFLEET_GRACE_SECONDS": "5",
    }


async def test_a_worker_is_forked_works_and_drains(fleet: Fleet, fork_server: Server) -> None:
    fleet.handler("greet")
    await fleet.publish()
    fork_server.say(op="spawn", id="w1", env=environment(fleet, "w1"))
    started = fork_server.hear()
    assert (started["event"], started["id"]) == ("started", "w1")
    assert output(await fleet.run("greet", name="Ada")) == {"greeting": "Hello, Ada"}
    assert [worker.id for worker in await fleet.queue.workers()] == ["w1"]
    fork_server.say(op="stop", id="w1")
    assert fork_server.hear() == {"event": "exited", "id": "w1", "code": 0}
    assert await fleet.queue.workers() == []


async def test_a_killed_worker_is_reported(fleet: Fleet, fork_server: Server) -> None:
    await fleet.publish()
    fork_server.say(op="spawn", id="w2", env=environment(fleet, "w2"))
    fork_server.hear()
    fork_server.say(op="kill", id="w2")
    assert fork_server.hear() == {"event": "exited", "id": "w2", "code": -signal.SIGKILL}


def test_orders_that_make_no_sense_are_answered(fork_server: Server) -> None:
    fork_server.say(op="stop", id="nobody")
    assert fork_server.hear() == {
        "event": "error",
        "id": "nobody",
        "detail": "stop nobody makes no sense now",
    }
    fork_server.say(what="ever")
    assert fork_server.hear()["event"] == "error"


async def test_workers_die_with_a_fork_server_that_is_killed(fleet: Fleet) -> None:
    await fleet.publish()
    server = Server()
    server.hear()
    server.say(op="spawn", id="w3", env=environment(fleet, "w3"))
    worker = psutil.Process(server.hear()["pid"])
    os.kill(server.process.pid, signal.SIGKILL)
    server.close()
    psutil.wait_procs([worker], timeout=10)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


async def test_the_end_of_its_orders_ends_everything(fleet: Fleet) -> None:
    fleet.handler("greet")
    await fleet.publish()
    server = Server()
    server.hear()
    server.say(op="spawn", id="w4", env=environment(fleet, "w4"))
    server.hear()
    await fleet.run("greet", name="Ada")
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert server.hear() == {"event": "exited", "id": "w4", "code": 0}
    assert server.process.wait(10) == 0
    server.close()
