"""A whole fleet on this machine: Redis, simulator, coordinator, workers, planner. Used by `dev` and the demo.

The services are the same processes as on a cluster; only the two ends are local: manifests come from files,
and replicas are processes. Everything is started in order and stopped in reverse, whatever ends it.
"""

import asyncio
import fcntl
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

import httpx
import orjson
from redis.asyncio import Redis

from agentfleet_cli.local import children
from agentfleet_cli.local.actuator import LocalActuator
from agentfleet_cli.local.code_check import check_code
from agentfleet_cli.local.code_watch import watch_code
from agentfleet_cli.local.fork_server import ForkServer
from agentfleet_cli.local.key_ring import KeyRing
from agentfleet_cli.local.manifests import read_manifests
from agentfleet_cli.local.publisher import Publisher
from agentfleet_cli.local.redis_server import free_port, redis_server
from agentfleet_core.autoscaler.loop import Autoscaler
from agentfleet_core.autoscaler.upkeep import keep_up
from agentfleet_core.errors import AgentfleetError, Conflict, InvalidInput, Unavailable
from agentfleet_core.fleet.config import CompiledPool, FleetConfig
from agentfleet_core.fleet.store import ConfigFollower
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId
from agentfleet_core.telemetry.logs import set_up_logs

FLEET: Final = FleetId("local", "default")
START_SECONDS: Final = 30.0
READY_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class LocalOptions:
    manifests: Path
    data: Path | None = None
    """Where Redis's data, keys and logs stay; None: a temporary folder that goes with the fleet."""
    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one."""
    provider_key: str = ""
    """The real provider's API key; empty: the simulator."""
    simulator_arguments: tuple[str, ...] = ()


class LocalFleet:
    """An async context manager. Inside it the fleet takes tasks at `url`."""

    url: str
    redis_url: str
    simulator_url: str | None = None
    folder: Path
    """Logs, and Redis's data."""

    def __init__(self, options: LocalOptions, say: Callable[[str], None]) -> None:
        """`say` gets a line when manifests or code change or a process ends that should not."""
        self._options = options
        self._say = say
        self._stack = AsyncExitStack()
        self._failed: asyncio.Future[str] | None = None
        self._redis: Redis
        self._actuator = LocalActuator(self._worker_environment, self._forget, say)
        self.publisher: Publisher

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def failed(self) -> str:
        """Returns when a process ended that the fleet cannot do without, with the reason."""
        if self._failed is None:
            raise Unavailable("the fleet has not started")
        return await asyncio.shield(self._failed)

    @property
    def tenant_keys(self) -> Mapping[str, str]:
        return self.publisher.local.tenant_keys

    @property
    def admin_key(self) -> str:
        return self.publisher.local.admin_key

    @property
    def config(self) -> FleetConfig:
        return self.publisher.config

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    async def _start(self) -> None:
        options = self._options
        # Before anything is started: a mistake in a file is found at once.
        read_manifests(options.manifests)
        _check_port(options.host, options.port)
        self._failed = asyncio.get_running_loop().create_future()
        self.folder = options.data or Path(self._stack.enter_context(_scratch_folder()))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._stack.enter_context(_alone_in(self.folder))
        self._stack.enter_context(_logs_in(self.log("planner")))
        self.redis_url = self._stack.enter_context(redis_server(folder=self.folder)).url
        self._redis = connect(self.redis_url)
        self._stack.push_async_callback(self._redis.aclose)
        # Before the rest, since its imports take the longest: the others start meanwhile.
        fork_server = await ForkServer.start(
            self._environment(), self.log("workers"), self._actuator.on_event
        )
        self._stack.push_async_callback(fork_server.close)
        self.simulator_url = None if options.provider_key else await self._start_simulator()
        await self._publish()
        await self._start_coordinator()
        await fork_server.ready()
        self._supervise("workers' fork server", fork_server.ended, self.log("workers"))
        await self._start_planning(fork_server)

    async def _publish(self) -> None:
        options = self._options
        self.publisher = Publisher(
            options.manifests,
            self._redis,
            FleetKeys(FLEET),
            KeyRing(options.data),
            secrets_folder=self.folder / "secrets",
            simulator_url=self.simulator_url,
            provider_key=options.provider_key,
        )
        await self.publisher.publish()

    async def _start_planning(self, fork_server: ForkServer) -> None:
        follower = await self._stack.enter_async_context(ConfigFollower(self._redis, FleetKeys(FLEET)))
        self._actuator.follow(follower.config.pools)
        self._actuator.attach(fork_server)
        # Workers end before whoever they talk to.
        self._stack.push_async_callback(self._actuator.close)
        autoscaler = Autoscaler(self._redis, FLEET, follower, self._actuator)
        self._actuator.wake = autoscaler.wake
        self._run(partial(_follow_pools, follower, self._actuator), "pools")
        self._run(autoscaler.run, "autoscaler")
        self._run(partial(keep_up, self._redis, FLEET, follower), "upkeep")
        self._run(partial(self.publisher.watch, self._say, self._check_code), "manifests")
        self._run(self._check_code, "code check")
        self._run(partial(watch_code, _code_folder(self._options.manifests), self._renew), "code")

    async def _check_code(self) -> None:
        types = self.config.task_types.values()
        await check_code(types, self._environment(), self.log("workers"), self._say)

    async def _renew(self, changed: Path) -> None:
        await self._actuator.renew()
        self._say(f"code changed: {changed}; workers start anew")
        await self._check_code()

    async def _start_simulator(self) -> str:
        command = [sys.executable, "-m", "agentfleet_cli.simulator", "--port", "0", "--until-stdin-ends"]
        log = self.log("simulator")
        process = await children.start([*command, *self._options.simulator_arguments], {}, log, pipes=True)
        self._stack.push_async_callback(children.stop, process)
        if process.stdout is None:
            raise Unavailable("the simulator has no output")
        line = await process.stdout.readline()
        if not line:
            await process.wait()
            children.raise_ended("simulator", process, log)
        self._supervise("simulator", process.wait, log)
        return str(orjson.loads(line)["url"])

    async def _start_coordinator(self) -> None:
        options, log = self._options, self.log("coordinator")
        port = options.port or free_port()
        self.url = f"http://{options.host}:{port}"
        environment = self._environment() | {
            "AGENTFLEET_HOST": options.host,
            "AGENTFLEET_PORT": str(port),
        }
        process = await children.start([sys.executable, "-m", "agentfleet_coordinator"], environment, log)
        self._stack.push_async_callback(children.stop, process)
        try:
            async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(trust_env=False) as client:
                while not await _is_ready(client, self.url):
                    children.raise_ended("coordinator", process, log)
                    await asyncio.sleep(READY_POLL_SECONDS)
        except TimeoutError as error:
            raise Unavailable(
                f"the coordinator was not ready within {START_SECONDS:g} s: {children.tail(log)}"
            ) from error
        self._supervise("coordinator", process.wait, log)

    def _environment(self) -> dict[str, str]:
        path = [str(_code_folder(self._options.manifests)), str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
        return {
            "AGENTFLEET_REDIS_URL": self.redis_url,
            "AGENTFLEET_INSTALL": FLEET.install,
            "AGENTFLEET_NAMESPACE": FLEET.namespace,
            "AGENTFLEET_METRICS_PORT": "0",
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
        }

    def _worker_environment(self, pool: str, worker: str, compiled: CompiledPool) -> dict[str, str]:
        return self._environment() | {
            "AGENTFLEET_POOL": pool,
            "AGENTFLEET_WORKER_ID": worker,
            "AGENTFLEET_SECRETS_DIR": str(self.folder / "secrets"),
            "AGENTFLEET_GRACE_SECONDS": str(compiled.spec.termination_grace_period_seconds),
        }

    async def _forget(self, pool: str, worker: str) -> None:
        await PoolQueue(self._redis, FLEET, pool).forget(worker)

    def _supervise(self, name: str, end: Callable[[], Awaitable[int]], log: Path) -> None:
        async def watch() -> None:
            code = await end()
            self._fail(f"the {name} ended with code {code}: {children.tail(log)}")

        self._run(watch, name)

    def _run(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        """For as long as the fleet runs; its end by an error is the fleet's."""

        async def guarded() -> None:
            try:
                await work()
            except AgentfleetError as error:
                self._fail(f"{name}: {error}")

        task = asyncio.create_task(guarded(), name=f"local-{name}")
        self._stack.push_async_callback(_cancel, task)

    def _fail(self, reason: str) -> None:
        if self._failed is not None and not self._failed.done():
            self._failed.set_result(reason)


async def _follow_pools(follower: ConfigFollower, actuator: LocalActuator) -> None:
    async for config in follower.changes():
        actuator.follow(config.pools)


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two Redis servers on the same files would ruin them. Raises `Conflict` when another fleet is there."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(f"another fleet runs on {folder}; end it, or choose another --data") from error
        yield


@contextmanager
def _logs_in(path: Path) -> Iterator[None]:
    """The screen is for people: what the planner logs goes beside the services' logs."""
    former = logging.getLogger().handlers[:]
    with path.open("a") as stream:
        set_up_logs(stream=stream)
        try:
            yield
        finally:
            logging.getLogger().handlers[:] = former


def _scratch_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="agentfleet-", ignore_cleanup_errors=True)


def _code_folder(manifests: Path) -> Path:
    """Handlers and tools are imported from beside the manifests."""
    return (manifests if manifests.is_dir() else manifests.parent).resolve()


def _check_port(host: str, port: int) -> None:
    """Raises `InvalidInput` when another program listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InvalidInput(
                f"{host}:{port} cannot be used ({error.strerror}); choose another --port"
            ) from error
