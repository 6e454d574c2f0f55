"""A fleet whose metrics are looked at: coordinator, worker, autoscaler and provider, in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from tests.integration.metrics_scrape import Values, scrape
from tests.integration.worker.rig import POOL, Fleet, simulated_provider
from tests.servers.coordinator import client, serving, until

from agentfleet_cli.local.redis_server import RedisServer, free_port
from agentfleet_cli.simulator.behaviour import Behaviour
from agentfleet_cli.simulator.server import Simulator
from agentfleet_cli.simulator.wire import Exchange, Request
from agentfleet_core.api.v1alpha1 import AgentPoolSpec
from agentfleet_core.autoscaler.loop import Autoscaler
from agentfleet_core.autoscaler.ports import PoolObservation
from agentfleet_core.budget.money import NANO_PER_USD
from agentfleet_core.fleet.config import CompiledPool, FleetConfig, key_hash
from agentfleet_core.fleet.store import ConfigFollower
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.planner.snapshot import PoolPlan, PoolSnapshot
from agentfleet_core.queue.step import StepRecord
from agentfleet_core.settings import FleetId, Settings, WorkerSettings

SHELF = "shelf"
"""A pool without a worker: what lies in its queue stays there."""


class KeyedFleet(Fleet):
    """The worker's rig with API keys, a second pool, and the worker's `/metrics` on a port that is known."""

    pools: tuple[str, ...] = (POOL, SHELF)
    version = 1

    def config(self) -> FleetConfig:
        base = super().config()
        tenants = {
            name: one.model_copy(update={"key_hashes": [key_hash(f"{name}-key".encode())]})
            for name, one in base.tenants.items()
        }
        scaling = {"maxReplicas": 1, "idleSecondsToZero": 0, "stabilizationSeconds": 0}
        spec = AgentPoolSpec.model_validate({"concurrency": 1, "scaling": scaling})
        pools = {**base.pools, SHELF: CompiledPool(spec=spec, revision="r1")}
        kept = {name: one for name, one in pools.items() if name in self.pools}
        return base.model_copy(update={"tenants": tenants, "pools": kept})

    def settings(self, worker: str = "w1", **changes: Any) -> WorkerSettings:
        made = super().settings(worker, **changes)
        self.worker_port = free_port()
        return replace(made, common=replace(made.common, metrics_port=self.worker_port))


class Runner:
    """Workers that exist and are ready as soon as they are asked for."""

    def __init__(self) -> None:
        self.seen: dict[str, PoolObservation] = {}

    def observe(self, pool: str) -> PoolObservation:
        return self.seen.get(pool, PoolObservation(replicas=0, ready=0))

    async def apply(self, pool: str, compiled: CompiledPool, plan: PoolPlan) -> None:
        self.seen[pool] = PoolObservation(replicas=plan.replicas, ready=plan.replicas)

    def planned(self, snapshot: PoolSnapshot, plan: PoolPlan) -> None:
        """Told elsewhere."""


class Door:
    """The provider's; shut, no request gets an answer."""

    def __init__(self, provider: Simulator) -> None:
        self._handle = provider.handle
        self._waiting: list[tuple[Request, Exchange]] = []
        self.is_open = True
        provider.handle = self.pass_through  # type: ignore[method-assign]

    def pass_through(self, request: Request, exchange: Exchange) -> None:
        if self.is_open:
            self._handle(request, exchange)
        else:
            self._waiting.append((request, exchange))

    def open(self) -> None:
        self.is_open = True
        while self._waiting:
            self._handle(*self._waiting.pop())


@dataclass
class Story:
    fleet: KeyedFleet
    door: Door
    coordinator: str
    autoscaler: Autoscaler
    acme: httpx.AsyncClient
    poor: httpx.AsyncClient
    steps: list[StepRecord]
    """Of every task that the worker ran."""

    async def submit(self, question: str, *, by: httpx.AsyncClient | None = None, key: str = "") -> str:
        headers = {"idempotency-key": key} if key else {}
        body = {"type": "ask", "input": {"question": question}}
        answer = await (by or self.acme).post("/v1/tasks", json=body, headers=headers)
        return str(answer.raise_for_status().json()["id"])

    async def publish(self) -> None:
        await self.fleet.publish()
        self.fleet.version += 1

    async def until(self, name: str, *, is_: Values) -> None:
        """Await that a gauge has these values, by `/metrics`."""

        async def holds() -> bool:
            self.autoscaler.wake()
            found = (await scrape(self.coordinator)).values(name)
            return all(found.get(labels) == value for labels, value in is_.items())

        await until(holds)

    async def until_gone(self, name: str, pool: str) -> None:
        async def gone() -> bool:
            self.autoscaler.wake()
            return all(pool not in labels for labels in (await scrape(self.coordinator)).values(name))

        await until(gone)

    async def ended(self, task_id: str) -> None:
        record = await self.fleet.ended(task_id)
        self.steps += (await self.fleet.steps(task_id)).values()
        assert record.state.ended

    @property
    def spent(self) -> float:
        return sum(step.cost for step in self.steps) / NANO_PER_USD

    @property
    def answers(self) -> list[StepRecord]:
        return [step for step in self.steps if step.kind == "llm"]

    @property
    def cut(self) -> list[StepRecord]:
        return [step for step in self.steps if step.kind == "cut"]

    def tokens(self, field: str) -> int:
        return sum((step.usage or {}).get(field) or 0 for step in self.answers)


@asynccontextmanager
async def told_fleet(redis: RedisServer, fleet_id: FleetId, tmp_path: Path) -> AsyncIterator[Story]:
    folder = tmp_path / "secrets" / "provider"
    folder.mkdir(parents=True)
    (folder / "api-key").write_text("key-of-the-fleet\n")
    async with simulated_provider(Behaviour(seed=7, speed=1_000.0, keys=("key-of-the-fleet",))) as (
        provider,
        url,
    ):
        door = Door(provider)
        fleet = KeyedFleet(redis, fleet_id, url, tmp_path / "secrets")
        for handler in ("ask", "fail_first", "wait_for_gate", "ignore_every_stop"):
            fleet.handler(handler)
        fleet.handler("raise_it", retry={"maxAttempts": 1, "backoffSeconds": 0})
        fleet.pool(replicas=1)
        fleet.tenant("poor", {"name": "day", "period": "Day", "amount": "0.000001"})
        await fleet.publish()
        settings = Settings(redis_url=redis.url, fleet=fleet_id, port=0)
        async with (
            serving(settings) as (coordinator, _),
            client(coordinator, "acme-key") as acme,
            client(coordinator, "poor-key") as poor,
            running_autoscaler(fleet) as autoscaler,
        ):
            yield Story(fleet, door, coordinator, autoscaler, acme, poor, [])
        await fleet.close()


@asynccontextmanager
async def running_autoscaler(fleet: Fleet) -> AsyncIterator[Autoscaler]:
    async with ConfigFollower(fleet.redis, FleetKeys(fleet.id)) as follower:
        autoscaler = Autoscaler(fleet.redis, fleet.id, follower, Runner())
        running = asyncio.create_task(autoscaler.run())
        try:
            yield autoscaler
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
