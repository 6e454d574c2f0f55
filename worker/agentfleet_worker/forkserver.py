"""Starts local workers by forking a process that has imported everything: milliseconds, not seconds of CPU.

It reads orders as JSON lines on stdin and reports as JSON lines on stdout:

    {"op": "spawn", "id": "w1", "env": {…}}     -> {"event": "started", "id": "w1", "pid": 123}
    {"op": "stop", "id": "w1"}  (drain)            {"event": "exited", "id": "w1", "code": 0}
    {"op": "kill", "id": "w1"}

The first line out is {"event": "ready"}; an order that makes no sense gets {"event": "error", "detail": …}.
The end of stdin drains all workers and then ends; when this process is killed, its workers are killed with
it. It must never start a thread or an event loop of its own: a fork would take half of either along.
"""

import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from agentfleet_worker import main as worker_main

PRELOADED = ("anthropic.resources.messages", "anthropic.types", "httpcore2", "jsonschema_rs", "uvloop")
"""What a worker loads only once it has work."""
_PR_SET_PDEATHSIG = 1
KILL_AFTER_SECONDS = 30.0
"""Past the end of stdin: whoever has not drained by then is killed."""


class ForkServer:
    def __init__(self, worker: type[worker_main.Worker] = worker_main.Worker) -> None:
        self._worker = worker
        self._pids: dict[str, int] = {}
        self._rest = b""
        self._ending_at: float | None = None
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)

    def run(self) -> None:
        """Until stdin has ended and every worker with it."""
        signal.set_wakeup_fd(self._wake_write)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heard)
        _say(event="ready")
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            selector.register(0, selectors.EVENT_READ)
            while self._ending_at is None or self._pids:
                for key, _ in selector.select(self._patience()):
                    if key.fd == 0 and not self._read_orders():
                        selector.unregister(0)
                        self._end()
                    elif key.fd == self._wake_read:
                        os.read(self._wake_read, 4_096)
                self._reap()
                if self._ending_at is not None and time.monotonic() > self._ending_at:
                    self._signal_all(signal.SIGKILL)

    def _heard(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self._end()

    def _patience(self) -> float | None:
        return None if self._ending_at is None else max(0.05, self._ending_at - time.monotonic())

    def _read_orders(self) -> bool:
        """False at the end of stdin."""
        data = os.read(0, 65_536)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._obey(line)
        return bool(data)

    def _obey(self, line: bytes) -> None:
        try:
            order = json.loads(line)
            op, worker = order["op"], str(order["id"])
            environment = {str(name): str(value) for name, value in order.get("env", {}).items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _say(event="error", detail=f"{line[:200]!r} is no order: {error!r}")
            return
        if op == "spawn" and worker not in self._pids and self._ending_at is None:
            self._spawn(worker, environment)
        elif op in ("stop", "kill") and worker in self._pids:
            os.kill(self._pids[worker], signal.SIGTERM if op == "stop" else signal.SIGKILL)
        else:
            _say(event="error", id=worker, detail=f"{op} {worker} makes no sense now")

    def _spawn(self, worker: str, environment: Mapping[str, str]) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_worker(parent, environment)
        self._pids[worker] = pid
        _say(event="started", id=worker, pid=pid)

    def _become_worker(self, parent: int, environment: Mapping[str, str]) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            # Ctrl-C reaches the whole terminal; who owns the fork server decides what it means for workers.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _die_with(parent)
            with open(os.devnull, "rb") as nothing:  # noqa: PTH123 -- a device, not a path of ours
                os.dup2(nothing.fileno(), 0)
            os.dup2(2, 1)
            os.environ.update(environment)
            worker_main.main(self._worker, interruptible=False)
            code = 0
        except BaseException as error:  # noqa: BLE001 -- the process's edge: a fork must never return to the server's loop
            print(f"worker failed to start: {error}", file=sys.stderr, flush=True)  # noqa: T201 -- no logs yet
        os._exit(code)

    def _reap(self) -> None:
        for worker, pid in list(self._pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._pids[worker]
                _say(event="exited", id=worker, code=os.waitstatus_to_exitcode(status))

    def _end(self) -> None:
        if self._ending_at is None:
            self._ending_at = time.monotonic() + KILL_AFTER_SECONDS
            self._signal_all(signal.SIGTERM)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._pids.values():
            os.kill(pid, number)


def _die_with(parent: int) -> None:
    """Linux alone can do this; elsewhere the end of stdin must."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _say(**report: Any) -> None:
    line = json.dumps(report).encode() + b"\n"
    try:
        os.write(1, line)
    except BrokenPipeError:
        return


def main(worker: type[worker_main.Worker] = worker_main.Worker) -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that a child's collector does not touch, and so copy, what is shared
    ForkServer(worker).run()


if __name__ == "__main__":
    main()
