"""How the parts of one worker know each other: the only place that makes them all."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import httpx2
from redis.asyncio import Redis

from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.room import Room
from agentfleet_core.fleet.store import ConfigFollower
from agentfleet_core.fleet.throttles import throttle
from agentfleet_core.keyspace.connect import channels_of
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.batching import GroupCommit
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import WorkerSettings
from agentfleet_worker.attempt.background import Background
from agentfleet_worker.attempt.deadlines import Deadlines
from agentfleet_worker.attempt.tally import Tally
from agentfleet_worker.calls.anthropic.sdk import Sdk
from agentfleet_worker.calls.counts import Counts
from agentfleet_worker.calls.health import Health
from agentfleet_worker.calls.holds import OpenHolds
from agentfleet_worker.calls.loop import CallLoop
from agentfleet_worker.calls.money import CallMoney
from agentfleet_worker.calls.progress import Progress
from agentfleet_worker.calls.routes import ProviderKeys, Routes
from agentfleet_worker.calls.transport import MeteredTransport
from agentfleet_worker.calls.tries import Tries
from agentfleet_worker.claiming.loop import ClaimLoop
from agentfleet_worker.process.leases import LeaseKeeper
from agentfleet_worker.running.code import Code
from agentfleet_worker.running.code_reports import CodeReports
from agentfleet_worker.running.runner import Runner
from agentfleet_worker.running.services import Services


@dataclass(slots=True)
class Parts:
    """What a worker has of Redis. Subclasses of a worker replace what they want to watch."""

    redis: Redis
    queue: PoolQueue
    commit: GroupCommit
    ledger: RedisLedger
    follower: ConfigFollower


@dataclass(frozen=True, slots=True)
class Wired:
    """What a process starts and ends."""

    claims: ClaimLoop
    runner: Runner
    leases: LeaseKeeper
    sdk: Sdk
    transport: MeteredTransport
    progress: Progress
    background: Background


def wired(settings: WorkerSettings, parts: Parts, wire: httpx2.AsyncBaseTransport) -> Wired:
    """`wire`: what reaches providers, once a call is paid for."""
    lease_ms = int(settings.lease_seconds * 1000)
    holds, background, tally = OpenHolds(), Background(), Tally(settings.pool)
    progress = Progress(parts.commit.emit)
    claims = ClaimLoop(
        parts.commit, parts.queue, parts.follower, tally, pool=settings.pool, worker=settings.worker_id,
        revision=settings.revision, lease_ms=lease_ms,
    )  # fmt: skip
    tally.watch(lambda: claims.slots, lambda: len(claims.held))
    leases = LeaseKeeper(
        settings.common.redis_url, parts.queue, parts.ledger, claims.held, holds,
        worker=settings.worker_id, lease_ms=lease_ms, lost=lambda ids: _lose(claims, ids),
    )  # fmt: skip
    tell = partial(throttle, parts.redis, FleetKeys(settings.common.fleet))
    health = Health(parts.follower, tell, background)
    room = Room(parts.ledger, channels_of(parts.redis), settings.common.fleet)
    money = CallMoney(
        parts.ledger, room, parts.follower, holds, health, background, pool=settings.pool, lease_ms=lease_ms
    )
    routes = Routes(parts.follower, ProviderKeys(settings.secrets_dir))
    counts = Counts(wire)
    tries = Tries(wire, money, counts, parts.commit, progress, background)
    transport = MeteredTransport(routes, CallLoop(routes, money, health, counts, tries), wire)
    sdk = Sdk(transport)
    code = Code(CodeReports(parts.queue, settings.revision, background).tell)
    services = Services(Deadlines(asyncio.get_running_loop()), code, parts.commit, routes, sdk)
    runner = Runner(
        services, tally, claims.ended, queue=parts.queue, follower=parts.follower, background=background
    )
    return Wired(claims, runner, leases, sdk, transport, progress, background)


def _lose(claims: ClaimLoop, ids: Sequence[str]) -> None:
    for task_id in ids:
        attempt = claims.held.get(task_id)
        if attempt is not None:
            attempt.lose()
