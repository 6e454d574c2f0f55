"""A coordinator over real HTTP and a real Redis: two tenants, three pools, an admin; tests do the work."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import httpx
from redis.asyncio import Redis

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_coordinator.server import Server
from agentfleet_coordinator.services import Services, running_services
from agentfleet_core.fleet.config import FleetConfig, key_hash
from agentfleet_core.fleet.store import publish
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.envelope import Claim, SettleKind, Settlement
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId, Settings

T = TypeVar("T")
ACME_KEY = "acme-key-0123456789"
GLOBEX_KEY = "globex-key-0123456789"
ADMIN_KEY = "admin-key-0123456789"
PRICE = {
    "input": "1.00",
    "output": "5.00",
    "cacheRead": "0.10",
    "cacheWrite5m": "1.25",
    "cacheWrite1h": "2.00",
}
ORDER_SCHEMA = {
    "type": "object",
    "required": ["order", "message"],
    "additionalProperties": False,
    "properties": {"order": {"type": "string", "maxLength": 40}, "message": {"type": "string"}},
}


def tier(rank: int) -> dict[str, Any]:
    prices = [{"effectiveFrom": "2026-01-01", "bands": [PRICE]}]
    return {"rank": rank, "models": [{"name": f"model-{rank}", "prices": prices}]}


def fleet_config(fleet: FleetId, **changes: Any) -> FleetConfig:
    """As the operator would publish it."""
    refund = {
        "pool": "interactive",
        "pools": ["batch"],
        "tier": {"default": "capable", "lowest": "fast", "highest": "capable"},
        "agent": {"prompt": "Order {{ input.order }}: {{ input.message }}"},
        "inputSchema": ORDER_SCHEMA,
    }
    body: dict[str, Any] = {
        "install": fleet.install,
        "namespace": fleet.namespace,
        "pools": {
            "interactive": {"spec": {"maxQueued": 1_000}, "revision": "r1"},
            "batch": {"spec": {"lane": "Batch"}, "revision": "r1"},
            "tiny": {"spec": {"maxQueued": 2}, "revision": "r1"},
        },
        "taskTypes": {
            "refund-request": refund,
            "anything": {"pool": "batch", "tier": {"default": "fast"}, "handler": "shop.agents:anything"},
            "crowded": {"pool": "tiny", "tier": {"default": "fast"}, "handler": "shop.agents:anything"},
        },
        "tenants": {
            name: {
                "budget": name,
                "spec": {"tenant": name, "limits": [{"name": "day", "period": "Day", "amount": "5.00"}]},
                "keyHashes": [key_hash(key.encode())],
            }
            for name, key in (("acme", ACME_KEY), ("globex", GLOBEX_KEY))
        },
        "tiers": {"fast": tier(1), "capable": tier(2)},
        "adminKeyHashes": [key_hash(ADMIN_KEY.encode())],
    }
    return FleetConfig.model_validate(body | changes)


@dataclass(frozen=True)
class Coordinator:
    url: str
    fleet: FleetId
    redis: Redis
    services: Services
    acme: httpx.AsyncClient
    globex: httpx.AsyncClient
    admin: httpx.AsyncClient
    nobody: httpx.AsyncClient

    def queue(self, pool: str = "interactive") -> PoolQueue:
        return PoolQueue(self.redis, self.fleet, pool)

    async def claim(self, pool: str = "interactive") -> Claim:
        (claim,) = await self.queue(pool).claim("worker-1", 1, lease_ms=30_000)
        return claim

    async def settle(self, claim: Claim, kind: SettleKind = SettleKind.END, **fields: Any) -> None:
        settlement = Settlement(claim.envelope.id, claim.attempt, kind, **fields)
        await self.queue(claim.envelope.pool).settle([settlement])

    async def submitted(self, **fields: Any) -> dict[str, Any]:
        answer = await self.acme.post("/v1/tasks", json=refund(**fields))
        assert answer.status_code == 201, answer.text
        task: dict[str, Any] = answer.json()
        return task


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """For what another process or a server brings about; fails after 20 s."""
    async with asyncio.timeout(20):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


def refund(**fields: Any) -> dict[str, Any]:
    return {"type": "refund-request", "input": {"order": "A-1001", "message": "It arrived broken."}} | fields


@contextlib.asynccontextmanager
async def running_coordinator(
    redis: RedisServer, fleet: FleetId, **changes: Any
) -> AsyncIterator[Coordinator]:
    """`changes` replace whole parts of the fleet config."""
    store = connect(redis.url)
    await publish(store, FleetKeys(fleet), fleet_config(fleet, **changes), term=1)
    settings = Settings(redis_url=redis.url, fleet=fleet, port=0)
    async with serving(settings) as (url, services), contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(client(url, key)) for key in (ACME_KEY, GLOBEX_KEY, ADMIN_KEY, "")
        ]
        yield Coordinator(url, fleet, store, services, *clients)
    await store.aclose()


def client(url: str, key: str) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=20)


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[str, Services]]:
    """The shipped server on a free port, in this loop."""
    async with running_services(settings) as services:
        server = Server(services, "127.0.0.1", 0)
        running = asyncio.create_task(server.serve())

        async def started() -> bool:
            return server.started

        await until(started)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}", services
        finally:
            server.should_exit = True
            await running


class CoordinatorThread:
    """A coordinator in a thread of its own, for what is not asynchronous itself."""

    def __init__(self, redis: RedisServer, fleet: FleetId) -> None:
        self._redis = redis
        self._fleet = fleet
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="coordinator")
        self.coordinator: Coordinator

    def call(self, awaitable: Coroutine[Any, Any, T]) -> T:
        """Run it in the coordinator's loop."""
        return asyncio.run_coroutine_threadsafe(awaitable, self._loop).result(20)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with running_coordinator(self._redis, self._fleet) as self.coordinator:
            self._started.set()
            await self._stop.wait()
