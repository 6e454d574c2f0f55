"""`python -m agentfleet_cli.simulator`: a process of its own, which prints one JSON line once it listens."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from agentfleet_cli.simulator.behaviour import Behaviour
from agentfleet_cli.simulator.scenario import load_scenes
from agentfleet_cli.simulator.server import Simulator, serve

NUMBERS = {
    "seed": int, "speed": float, "first-token-seconds": float, "tokens-per-second": float, "jitter": float,
    "seconds": float, "min-output-tokens": int, "max-output-tokens": int, "events": int, "error-rate": float,
    "retry-after-seconds": float, "requests-per-minute": int, "input-tokens-per-minute": int,
    "output-tokens-per-minute": int, "min-cache-tokens": int, "batch-seconds": float, "max-body-bytes": int,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM, SIGINT, or the end of its standard input with --until-stdin-ends."""
    parser = argparse.ArgumentParser(prog="python -m agentfleet_cli.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8089, help="0 takes a free one")
    parser.add_argument("--scenario", type=Path, help="a scenario file (YAML)")
    parser.add_argument(
        "--until-stdin-ends", action="store_true", help="end with the process that started it"
    )
    for name, kind in NUMBERS.items():
        parser.add_argument(f"--{name}", type=kind)
    options = vars(parser.parse_args(arguments))
    knobs = {name.replace("-", "_"): options[name.replace("-", "_")] for name in NUMBERS}
    behaviour = Behaviour().changed({name: value for name, value in knobs.items() if value is not None})
    scenes = load_scenes(options["scenario"]) if options["scenario"] else ()
    run_simulator(
        Simulator(behaviour, scenes),
        host=options["host"],
        port=options["port"],
        announce=_say_ready,
        until_stdin_ends=options["until_stdin_ends"],
    )


def run_simulator(
    simulator: Simulator,
    *,
    host: str,
    port: int,
    announce: Callable[[str], None],
    until_stdin_ends: bool = False,
) -> None:
    """Blocks until a signal; `announce` gets the URL once it listens. uvloop where it is installed."""
    run = _run(simulator, host, port, announce, until_stdin_ends=until_stdin_ends)
    try:
        import uvloop
    except ImportError:
        asyncio.run(run)
    else:
        uvloop.run(run)


async def _run(
    simulator: Simulator, host: str, port: int, announce: Callable[[str], None], *, until_stdin_ends: bool
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    server, connections = await serve(simulator, host, port)
    if until_stdin_ends:
        await loop.connect_read_pipe(lambda: _Pipe(stop), sys.stdin)
    announce(f"http://{host}:{server.sockets[0].getsockname()[1]}")
    await stop.wait()
    server.close()
    for connection in tuple(connections):
        connection.close()


class _Pipe(asyncio.Protocol):
    """Sets `stop` when the other end has gone."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop.set()


def _say_ready(url: str) -> None:
    sys.stdout.buffer.write(orjson.dumps({"event": "ready", "url": url}) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
