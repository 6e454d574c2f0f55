"""Makes a worker from its environment, runs it, and ends it."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx2

from agentfleet_core.autoscaler.upkeep import sweep_ledgers
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.errors import AgentfleetError, InvalidInput
from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.fleet.store import ConfigFollower
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.batching import GroupCommit
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import WorkerSettings, read_worker_settings
from agentfleet_core.telemetry.logs import set_up_logs
from agentfleet_core.telemetry.server import ProbeServer
from agentfleet_worker.attempt.guard import ENDS_PROCESS
from agentfleet_worker.process.drain import drain
from agentfleet_worker.process.housekeeping import follow_config
from agentfleet_worker.process.wiring import Parts, Wired, wired
from agentfleet_worker.running.context import watch_tasks

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 1_000
"""To providers; a worker's concurrency is at most this."""
COLLECTOR_THRESHOLDS = (20_000, 20, 20)
MAX_THREADS = 64
"""For handlers and tools that are plain functions."""
LAST_CLAIM_SECONDS = 1.0
DROP_SECONDS = 0.5
LEAVE_SECONDS = 2.5
"""With the two above and the lease thread: less than the 5 s that a pod has left after its grace."""


def main(worker: "type[Worker] | None" = None, *, interruptible: bool = True) -> None:
    """Never returns. `interruptible`: Ctrl-C stops it too."""
    try:
        settings = read_worker_settings(os.environ)
    except InvalidInput as error:
        sys.exit(f"the worker cannot start: {error}")
    set_up_logs(settings.common.log_format)
    signals = (signal.SIGTERM, signal.SIGINT) if interruptible else (signal.SIGTERM,)
    code = run((worker or Worker)(settings), signals)
    # A handler's plain function may still sit in its thread; the interpreter would wait for it for ever.
    logging.shutdown()
    os._exit(code)


def run(worker: "Worker", signals: Sequence[signal.Signals]) -> int:
    """Runs until a signal; the exit code."""
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):
        import uvloop

        new_loop = uvloop.new_event_loop
    calm_collector()
    # Never closed: that would wait for handlers' threads, and the process ends next.
    loop = new_loop()
    loop.set_default_executor(ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="handler"))
    for number in signals:
        loop.add_signal_handler(number, worker.stop)
    task = loop.create_task(worker.run())
    while True:
        try:
            return loop.run_until_complete(task)
        except ENDS_PROCESS as error:
            if task.done():
                raise
            # From a callback of users' code, which no task owns. The loop goes on where it was left.
            log.error("%r in a callback cannot end a worker", error)


def calm_collector() -> None:
    """What is imported stays, so it need not be looked at; what a task makes is mostly gone by its end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


@contextlib.contextmanager
def in_time(otherwise: str) -> Iterator[None]:
    """A worker ends within its grace period, whatever Redis does."""
    try:
        yield
    except TimeoutError:
        log.warning("Redis does not answer to a worker that ends: %s", otherwise)


class Worker:
    """One worker process. `run` until SIGTERM, then drained."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> int:
        watch_tasks(asyncio.get_running_loop())
        async with self._parts() as parts:
            await self._work(parts)
        return 0

    def stop(self) -> None:
        """Drain, then end; called again, hand back at once what still runs."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def commit(self, queue: PoolQueue) -> GroupCommit:
        return GroupCommit(queue)

    def wire(self) -> httpx2.AsyncBaseTransport:
        limits = httpx2.Limits(
            max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS, keepalive_expiry=30.0
        )
        return httpx2.AsyncHTTPTransport(limits=limits)

    @contextlib.asynccontextmanager
    async def _parts(self) -> AsyncIterator[Parts]:
        common = self.settings.common
        redis = connect(common.redis_url)
        follower = ConfigFollower(redis, FleetKeys(common.fleet))
        queue = PoolQueue(redis, common.fleet, self.settings.pool)
        try:
            await self._started(follower)
            yield Parts(redis, queue, self.commit(queue), RedisLedger(redis, common.fleet), follower)
        finally:
            with in_time("its connections are dropped"):
                async with asyncio.timeout(DROP_SECONDS):
                    await follower.close()
                    await redis.aclose()

    async def _started(self, follower: ConfigFollower) -> None:
        """Redis may come up after the worker: that is no reason to end."""
        while True:
            try:
                await follower.start()
                return
            except AgentfleetError as error:
                log.warning("waiting for the fleet config: %s", error)
                if self._stop.is_set():
                    raise
                await asyncio.sleep(0.5)

    async def _work(self, parts: Parts) -> None:
        settings = self.settings
        worker = wired(settings, parts, self.wire())
        worker.leases.start()
        chores = _chores(settings, parts)
        probes = ProbeServer(settings.common.host, settings.common.metrics_port)
        try:
            async with probes:
                log.info(
                    "ready", extra={"pool": settings.pool, "worker": settings.worker_id, "port": probes.port}
                )
                if calls_models(parts.follower.config, settings.pool):
                    worker.sdk.start()
                await self._until_stopped(worker, chores)
                await drain(worker.claims, settings.grace_seconds, self._hurry)
        finally:
            for chore in chores:
                chore.cancel()
            with in_time("what is held goes on elsewhere when its lease ends"):
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._leave(worker, parts)
                    await asyncio.wait(chores)
            worker.leases.close()

    async def _until_stopped(self, worker: Wired, chores: "list[asyncio.Task[None]]") -> None:
        """Also ends, by raising, when a part that must not end has ended.

        A claim that is under way then is waited for, since what it brings must be handed back, but not for
        longer than a Redis that answers needs.
        """
        claiming = asyncio.create_task(worker.claims.run(worker.runner), name="claim-loop")
        chores.append(claiming)
        stopped = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait((stopped, *chores), return_when=asyncio.FIRST_COMPLETED)
        worker.claims.stop()
        stopped.cancel()
        for task in done:
            if task is not stopped:
                task.result()
        await asyncio.wait((claiming,), timeout=LAST_CLAIM_SECONDS)

    async def _leave(self, worker: Wired, parts: Parts) -> None:
        worker.progress.flush()
        await worker.background.finish(LEAVE_SECONDS)
        await parts.commit.close(LEAVE_SECONDS)
        with contextlib.suppress(AgentfleetError):
            await parts.queue.forget(self.settings.worker_id)
        await worker.transport.aclose()


def calls_models(config: FleetConfig, pool: str) -> bool:
    """Whether its tasks are about a model's answers. A pool of handlers alone imports the SDK when one asks
    for an answer: it is a second of CPU, and memory that most of them never need.
    """
    return any(
        spec.handler is None and pool in (spec.pool, *spec.pools) for spec in config.task_types.values()
    )


def _chores(settings: WorkerSettings, parts: Parts) -> "list[asyncio.Task[None]]":
    """What a worker does beside its tasks."""
    sweep = sweep_ledgers(parts.redis, settings.common.fleet, parts.ledger, parts.follower)
    return [
        asyncio.create_task(follow_config(parts.follower, parts.queue), name="follow-config"),
        asyncio.create_task(sweep, name="sweep-ledgers"),
    ]
