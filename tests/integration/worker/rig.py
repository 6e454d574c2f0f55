"""A worker in the test's own event loop, on a real Redis, against the simulator over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_cli.simulator.behaviour import Behaviour
from agentfleet_cli.simulator.server import Simulator, serve
from agentfleet_core.api.v1alpha1 import AgentPoolSpec, ModelTierSpec, TaskTypeSpec, TenantBudgetSpec
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.fleet.config import CompiledPool, CompiledTenant, FleetConfig
from agentfleet_core.fleet.store import publish
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.envelope import Envelope, Event, TaskRecord
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.queue.step import StepRecord, decode_step
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId, Settings, WorkerSettings
from agentfleet_worker.main import Worker

HANDLERS = "tests.integration.worker.handlers"
POOL = "interactive"


def band(input_: str, output: str, read: str, write_5m: str, write_1h: str) -> dict[str, str]:
    return {
        "input": input_, "output": output, "cacheRead": read,
        "cacheWrite5m": write_5m, "cacheWrite1h": write_1h,
    }  # fmt: skip


PLAIN = {
    "fast": band("1.00", "5.00", "1.00", "2.00", "2.00"),
    "capable": band("2.00", "10.00", "2.00", "4.00", "4.00"),
}
"""Prices that are easy to reckon with."""
PUBLISHED = {
    "fast": band("0.10", "0.50", "0.01", "0.125", "0.20"),
    "capable": band("2.00", "10.00", "0.10", "2.50", "4.00"),
}
"""Those by which the simulator bills."""


class Fleet:
    """One fleet in Redis, with the config that a test gives it."""

    def __init__(self, redis: RedisServer, fleet: FleetId, provider: str, secrets: Path) -> None:
        self.url = redis.url
        self.id = fleet
        self.secrets = secrets
        self.redis = connect(redis.url)
        self.keys = FleetKeys(fleet)
        self.queue = PoolQueue(self.redis, fleet, POOL)
        self.ledger = RedisLedger(self.redis, fleet)
        self._provider = provider
        self.prices = PLAIN
        self.models = {"fast": ["claude-haiku-5-5"], "capable": ["claude-sonnet-5-5"]}
        """The first serves, the rest are fallbacks."""
        self._pool: dict[str, Any] = {"concurrency": 8}
        self._types: dict[str, dict[str, Any]] = {}
        self._tenants: dict[str, list[dict[str, Any]]] = {
            "acme": [{"name": "day", "period": "Day", "amount": "10.00"}]
        }

    def type(self, name: str, **spec: Any) -> None:
        spec.setdefault("tier", {"default": "fast", "lowest": "fast", "highest": "capable"})
        self._types[name] = {"pool": POOL, "retry": {"maxAttempts": 3, "backoffSeconds": 0}, **spec}

    def handler(self, name: str, **spec: Any) -> None:
        self.type(name.replace("_", "-"), handler=f"{HANDLERS}:{name}", **spec)

    def tenant(self, name: str, *limits: Mapping[str, Any]) -> None:
        self._tenants[name] = [dict(limit) for limit in limits]

    def pool(self, **spec: Any) -> None:
        self._pool |= spec

    def provider_at(self, url: str) -> None:
        """Another than the simulator."""
        self._provider = url

    def config(self) -> FleetConfig:
        tier = {
            "provider": {"baseUrl": self._provider, "apiKeySecretRef": {"name": "provider", "key": "api-key"}}
        }

        def prices(tier: str) -> list[dict[str, Any]]:
            return [{"effectiveFrom": "2026-01-01", "bands": [self.prices[tier]]}]

        return FleetConfig(
            install=self.id.install,
            namespace=self.id.namespace,
            pools={POOL: CompiledPool(spec=AgentPoolSpec.model_validate(self._pool), revision="r1")},
            task_types={name: TaskTypeSpec.model_validate(spec) for name, spec in self._types.items()},
            tenants={
                name: CompiledTenant(
                    budget=name, spec=TenantBudgetSpec.model_validate({"tenant": name, "limits": limits})
                )
                for name, limits in self._tenants.items()
            },
            tiers={
                name: ModelTierSpec.model_validate(
                    {
                        "rank": rank,
                        **tier,
                        "models": [{"name": model, "prices": prices(name)} for model in models],
                    }
                )
                for rank, (name, models) in enumerate(self.models.items(), 1)
            },
        )

    async def publish(self) -> None:
        await publish(self.redis, self.keys, self.config(), 1)

    async def close(self) -> None:
        await self.redis.aclose()

    async def submit(
        self, task_type: str, tenant: str = "acme", tier: str = "fast", revision: str = "r1", **values: Any
    ) -> str:
        spec = TaskTypeSpec.model_validate(self._types[task_type])
        task_id = new_task_id(POOL)
        envelope = Envelope(
            id=task_id, tenant=tenant, type=task_type, priority=50, revision=revision, tier=tier,
            tier_reason="TierDefault", input=json.dumps(values).encode(), labels={"order": "A-1"},
            max_attempts=spec.retry.max_attempts, expires_after_seconds=spec.timeouts.expires_after_seconds,
        )  # fmt: skip
        assert await self.queue.submit([envelope]) == [True]
        return task_id

    async def event(self, task_id: str, *types: str) -> Event:
        """The task's first event of one of these types."""
        async for event in self.queue.follow(task_id):
            if event.type in types:
                return event
        raise AssertionError(f"{task_id} ended without any of {types}")

    async def ended(self, task_id: str) -> TaskRecord:
        async for _ in self.queue.follow(task_id):
            pass
        record = await self.record(task_id)
        assert record.state.ended
        return record

    async def run(self, task_type: str, **values: Any) -> TaskRecord:
        return await self.ended(await self.submit(task_type, **values))

    async def record(self, task_id: str) -> TaskRecord:
        (record,) = await self.queue.get([task_id])
        assert record is not None
        return record

    async def steps(self, task_id: str) -> dict[str, StepRecord]:
        return {key: decode_step(value) for key, value in (await self.queue.steps(task_id)).items()}

    def settings(self, worker: str = "w1", **changes: Any) -> WorkerSettings:
        common = Settings(redis_url=self.url, fleet=self.id, metrics_port=0)
        defaults: dict[str, Any] = {"grace_seconds": 10.0, "lease_seconds": 3.0}
        revision = changes.pop("revision", "r1")
        return WorkerSettings(common, POOL, revision, worker, self.secrets, **{**defaults, **changes})

    @asynccontextmanager
    async def worker(self, name: str = "w1", **changes: Any) -> AsyncIterator[Worker]:
        """Runs while the block does; then it is drained."""
        worker = Worker(self.settings(name, **changes))
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            worker.stop()
            await running


@asynccontextmanager
async def simulated_provider(behaviour: Behaviour) -> AsyncIterator[tuple[Simulator, str]]:
    simulator = Simulator(behaviour)
    server, connections = await serve(simulator, "127.0.0.1", 0)
    try:
        yield simulator, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for connection in tuple(connections):
            connection.abort()
        await server.wait_closed()


def script(**fields: Any) -> str:
    """What the simulator shall answer, inside a prompt."""
    return f"Please help. sim:{json.dumps(fields)}"


async def spent_and_held(fleet: Fleet, tenant: str = "acme") -> tuple[int, int]:
    """Of the tenant's first limit, in nano-USD."""
    spec = fleet.config().tenants[tenant].spec
    (balance, *_) = await fleet.ledger.balances(tenant, all_windows(spec, datetime.now(UTC)))
    return balance.spent, balance.held


def problem(record: TaskRecord) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record.error)
    return found


def output(record: TaskRecord) -> Any:
    assert record.state == "succeeded", (
        record.state,
        record.reason,
        problem(record)["detail"] if record.error else "",
    )
    return json.loads(record.output)
