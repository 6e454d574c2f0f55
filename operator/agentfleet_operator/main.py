"""The operator's process: watches always, acts only while it leads, and ends when it stops leading.

A standby does all of the watching, so that it can act at once. SIGTERM gives the Lease back; a lost Lease, or
leader's work that ends, ends the process with an error, and whoever runs it starts another.
"""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

from agentfleet_core.errors import (
    AgentfleetError,
    InvalidInput,
    LeadershipLost,
    NotFound,
    Unauthorized,
    Unavailable,
)
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.settings import FleetId
from agentfleet_core.telemetry import metrics
from agentfleet_core.telemetry.logs import set_up_logs
from agentfleet_core.telemetry.server import ProbeServer
from agentfleet_operator.apply import Writer
from agentfleet_operator.definitions import PUBLISHED, problem_of
from agentfleet_operator.fleet import Fleet
from agentfleet_operator.kube import KubeApi
from agentfleet_operator.leadership import Leadership
from agentfleet_operator.lease import KubeLease
from agentfleet_operator.resync import Resync
from agentfleet_operator.settings import OperatorSettings, read_operator_settings
from agentfleet_operator.state import ClusterState
from agentfleet_operator.watching import Watching

log = logging.getLogger(__name__)

DEFINITIONS_SECONDS = 10.0
DEFINITIONS_LOOK_SECONDS = 0.5


class Operator:
    """`await run()` until stopped. Raises `LeadershipLost`, or what ended the leader's work."""

    def __init__(self, settings: OperatorSettings, api: KubeApi, lease_api: KubeApi, redis: Redis) -> None:
        self._settings = settings
        self._api = api
        self._redis = redis
        self._state = ClusterState()
        self._watching = Watching(self._saw, settings.namespaces)
        self._resync = Resync(api, self._state, settings.namespaces)
        lease = KubeLease(lease_api, settings.lease_namespace, settings.lease_name)
        self._leadership = Leadership(lease, settings.identity, settings.timings)
        self._writer = Writer(api, self._state)

    @property
    def not_ready(self) -> str:
        return "" if self._resync.synced.is_set() else "the API server's objects have not been seen yet"

    @property
    def not_alive(self) -> str:
        return self._watching.problem

    async def run(self) -> None:
        self._watching.start()
        try:
            await fitting_definitions(self._api)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._resync.run(), name="resync")
                tasks.create_task(self._lead(), name="lead")
        finally:
            metrics.LEADER.set(0)
            await self._leadership.release()
            await self._watching.stop()

    def _saw(self, kind: str, body: Mapping[str, Any], deleted: bool, listed: bool) -> None:
        self._state.take(kind, body, deleted=deleted)
        if listed:
            self._resync.ask()

    async def _lead(self) -> None:
        """Wait for the Lease, then hold it and work until one of the two ends."""
        await self._resync.synced.wait()
        await self._leadership.acquire()
        metrics.LEADER.set(1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._leadership.hold(), name="hold-lease")
            tasks.create_task(self._work(), name="work")

    async def _work(self) -> None:
        """A fleet for each namespace that has begun one; those named, or else the operator's own, at once:
        their coordinators can then serve before the first manifest.
        """
        # What happened between the last event seen and now must not be acted on from memory.
        await self._resync.surely()
        named = self._settings.namespaces or (self._settings.lease_namespace,)
        for namespace in named:
            self._state.fleet(namespace)
        started: set[str] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._state.grown.clear()
                for namespace, state in list(self._state.fleets.items()):
                    if namespace not in started and (namespace in named or state.begun):
                        started.add(namespace)
                        tasks.create_task(self._fleet(namespace).run(), name=f"fleet-{namespace}")
                await self._state.grown.wait()

    def _fleet(self, namespace: str) -> Fleet:
        settings = self._settings
        return Fleet(
            FleetId(settings.common.fleet.install, namespace),
            self._state.fleet(namespace),
            self._api,
            self._writer,
            self._redis,
            self._leadership,
            settings.workers,
        )


async def serve(settings: OperatorSettings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    redis = connect(settings.common.redis_url, command_seconds=2.0, retries=1)
    deadline = settings.timings.renew_deadline_seconds
    async with (
        KubeApi() as api,
        KubeApi(timeout_seconds=deadline) as lease_api,
    ):
        operator = Operator(settings, api, lease_api, redis)
        probes = ProbeServer(
            settings.common.host,
            settings.common.metrics_port,
            ready=lambda: operator.not_ready,
            alive=lambda: operator.not_alive,
        )
        try:
            async with probes:
                await _until(operator, stopping)
        finally:
            await redis.aclose()


async def fitting_definitions(api: KubeApi, *, seconds: float = DEFINITIONS_SECONDS) -> None:
    """Returns once the cluster's definitions fit. Raises `InvalidInput` when they do not for so long: an API
    server publishes the schema of a new definition a moment after it was installed.
    """
    deadline: float | None = None
    while True:
        try:
            problem = problem_of(await api.get(PUBLISHED))
        except NotFound:
            problem = problem_of({})
        except Unauthorized as error:
            log.warning("the definitions' age is unknown, since their schemas may not be read: %s", error)
            return
        except Unavailable as error:
            log.warning("waiting for the API server: %s", error)
            await asyncio.sleep(DEFINITIONS_LOOK_SECONDS)
            continue
        now = time.monotonic()
        deadline = now + seconds if deadline is None else deadline
        if not problem:
            return
        if now >= deadline:
            raise InvalidInput(problem)
        await asyncio.sleep(DEFINITIONS_LOOK_SECONDS)


async def _until(operator: Operator, stopping: asyncio.Event) -> None:
    work = asyncio.create_task(operator.run(), name="operator")
    stop = asyncio.create_task(stopping.wait(), name="stop")
    await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not work.done():
        log.info("stopping")
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return
    await work


def main() -> int:
    """Exit code 0 after a signal, 2 when its environment must change first, 1 after anything else."""
    try:
        settings = read_operator_settings()
    except AgentfleetError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    set_up_logs(settings.common.log_format)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    code = 0
    try:
        asyncio.run(serve(settings))
    except* LeadershipLost as lost:
        log.error("this process no longer leads and ends: %s", first_error(lost))
        code = 1
    except* InvalidInput as wrong:
        log.error("the operator ends: %s", first_error(wrong))
        code = 2
    except* Exception:
        # The edge of the process: whatever it was, another process starts with a clean state.
        log.exception("the operator failed and ends")
        code = 1
    return code


def first_error(group: BaseException) -> BaseException:
    """The innermost of the first ones."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
