"""Replicas as processes on this machine: the planner's wishes carried out by the fork server.

Like a ReplicaSet it keeps each pool at the number asked for: a worker that ends by itself is replaced, backed
off. What is asked for comes from the autoscaler alone.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from agentfleet_cli.local.fork_server import ForkServer
from agentfleet_core.autoscaler.ports import PoolObservation
from agentfleet_core.errors import AgentfleetError, Unavailable
from agentfleet_core.fleet.config import CompiledPool
from agentfleet_core.planner.snapshot import PoolPlan, PoolSnapshot
from agentfleet_core.resilience.backoff import doubled_seconds

log: Final = logging.getLogger(__name__)
FIRST_BACKOFF_SECONDS: Final = 0.5
LAST_BACKOFF_SECONDS: Final = 30.0

WorkerEnvironment = Callable[[str, str, CompiledPool], Mapping[str, str]]
"""Pool, worker id and the pool's config to the worker's environment."""
Ended = Callable[[str, str], Awaitable[None]]
"""Called with pool and worker id once a worker has ended."""


@dataclass(slots=True)
class Process:
    """One worker, from its spawn to its end."""

    id: str
    started: bool = False
    stopping: bool = False


@dataclass(slots=True)
class Pool:
    compiled: CompiledPool
    replicas: int = 0
    processes: dict[str, Process] = field(default_factory=dict)
    failures: int = 0
    """Ends in a row that nobody asked for."""

    @property
    def staying(self) -> list[Process]:
        return [process for process in self.processes.values() if not process.stopping]


class LocalActuator:
    """Implements the autoscaler's `Actuator`. `wake` is told of each change that `observe` would show."""

    def __init__(self, environment: WorkerEnvironment, ended: Ended, say: Callable[[str], None]) -> None:
        """`say` gets a line when a worker ended that nobody had told to."""
        self._environment = environment
        self._ended = ended
        self._say = say
        self._pools: dict[str, Pool] = {}
        self._names = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: ForkServer | None = None
        self._bell = asyncio.Event()
        self.wake: Callable[[str], None] = lambda pool: None

    def attach(self, server: ForkServer) -> None:
        self._server = server

    def follow(self, pools: Mapping[str, CompiledPool]) -> None:
        """The config's pools; one that has left it is emptied."""
        for name, compiled in pools.items():
            self._pools.setdefault(name, Pool(compiled)).compiled = compiled
        for name in self._pools.keys() - pools.keys():
            self._pools[name].replicas = 0
            self._later(partial(self._reconcile, name, ()))

    def observe(self, pool: str) -> PoolObservation | None:
        known = self._pools.get(pool)
        if known is None or self._server is None:
            return None
        staying = known.staying
        return PoolObservation(
            replicas=known.replicas,
            ready=sum(process.started for process in staying),
            unready_workers=frozenset(process.id for process in staying if not process.started),
            live_workers=frozenset(process.id for process in staying),
        )

    async def apply(self, pool: str, compiled: CompiledPool, plan: PoolPlan) -> None:
        known = self._pools.setdefault(pool, Pool(compiled))
        known.compiled, known.replicas = compiled, plan.replicas
        await self._reconcile(pool, plan.victims)

    async def renew(self) -> None:
        """Every worker drains, and another takes its place at once: new code is imported by new processes."""
        for name, pool in [*self._pools.items()]:
            for process in pool.staying:
                await self._stop(process)
            await self._reconcile(name, ())

    def planned(self, snapshot: PoolSnapshot, plan: PoolPlan) -> None:
        """Plans are shown from Redis, where the autoscaler publishes them."""

    def on_event(self, word: str, worker: str, event: Mapping[str, Any]) -> None:
        """What the fork server says of a worker."""
        name = worker.rpartition("-")[0]
        pool = self._pools.get(name)
        process = pool.processes.get(worker) if pool else None
        if pool is None or process is None:
            return
        if word == "started":
            process.started = True
        elif word == "exited":
            del pool.processes[worker]
            self._bell.set()
            if self._server is None:
                return
            self._later(partial(self._after_end, name, pool, process, int(event.get("code", 0))))
        self.wake(name)

    async def close(self) -> None:
        """Nothing is replaced any more; each worker hands back what it does not finish at once, and ends."""
        server, self._server = self._server, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if server is None:
            return
        # A second stop means: do not finish, hand back.
        for order, seconds in ((server.stop, 0.5), (server.stop, 3.0), (server.kill, 2.0)):
            for worker in self._alive():
                with contextlib.suppress(Unavailable):
                    await order(worker)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._ended_all()
                    return

    def _alive(self) -> list[str]:
        return [worker for pool in self._pools.values() for worker in pool.processes]

    async def _ended_all(self) -> None:
        while self._alive():
            self._bell.clear()
            await self._bell.wait()

    async def _after_end(self, name: str, pool: Pool, process: Process, code: int) -> None:
        await self._ended(name, process.id)
        if process.stopping:
            pool.failures = 0
            return
        pool.failures += 1
        wait = doubled_seconds(
            pool.failures, base_seconds=FIRST_BACKOFF_SECONDS, cap_seconds=LAST_BACKOFF_SECONDS
        )
        self._say(f"worker {process.id} ended with code {code}; another starts in {wait:.1f} s")
        await asyncio.sleep(wait)
        await self._reconcile(name, ())

    async def _reconcile(self, name: str, victims: tuple[str, ...]) -> None:
        """Spawn what is missing; stop the victims first, then the youngest."""
        pool, server = self._pools[name], self._server
        if server is None:
            return
        surplus = len(pool.staying) - pool.replicas
        candidates = sorted(
            pool.staying, key=lambda process: (process.id in victims, not process.started), reverse=True
        )
        for process in candidates[: max(0, surplus)]:
            await self._stop(process)
        for _ in range(-surplus):
            worker = f"{name}-{next(self._names)}"
            pool.processes[worker] = Process(worker)
            await server.spawn(worker, self._environment(name, worker, pool.compiled))

    async def _stop(self, process: Process) -> None:
        process.stopping = True
        if self._server is not None:
            await self._server.stop(process.id)

    def _later(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except AgentfleetError as error:
            log.warning("local workers: %s", error)
