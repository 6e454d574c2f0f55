"""What must happen to a fleet although no worker runs: a raised budget frees its tasks, dead holds end, tasks
expire, and a wrong count is mended.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from tests.integration.queue.queue_rooms import POOL, envelope

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.api.v1alpha1 import AgentPoolSpec, TenantBudgetSpec
from agentfleet_core.autoscaler import upkeep
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import LimitWindow, Reserved
from agentfleet_core.fleet.config import CompiledPool, CompiledTenant, FleetConfig
from agentfleet_core.fleet.store import ConfigFollower, publish
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.envelope import SettleKind, Settlement, TaskState
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId

TOTAL = LimitWindow("total", 1_000, 0, 0)


@pytest.fixture
async def client(redis: RedisServer) -> AsyncIterator[Redis]:
    client = connect(redis.url)
    yield client
    await client.aclose()


def config(fleet_id: FleetId, amount: str, *, tenants: Sequence[str] = ("acme",)) -> FleetConfig:
    limits = [{"name": "total", "period": "Total", "amount": amount}]
    specs = {name: TenantBudgetSpec.model_validate({"tenant": name, "limits": limits}) for name in tenants}
    return FleetConfig(
        install=fleet_id.install,
        namespace=fleet_id.namespace,
        pools={POOL: CompiledPool(spec=AgentPoolSpec(), revision="r1")},
        tenants={name: CompiledTenant(budget=name, spec=spec) for name, spec in specs.items()},
    )


@asynccontextmanager
async def kept_up(client: Redis, fleet_id: FleetId) -> AsyncIterator[None]:
    async with ConfigFollower(client, FleetKeys(fleet_id)) as follower:
        keeping = asyncio.create_task(upkeep.keep_up(client, fleet_id, follower))
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Upkeep tells nobody when it has done its work."""
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


async def parked_for_good(queue: PoolQueue, *tenants: str, block: bool = True) -> None:
    """A task of each that a Total limit parked: no reset will ever free it."""
    await queue.submit([envelope(tenant=tenant) for tenant in tenants])
    claims = await queue.claim("w1", len(tenants), lease_ms=10_000)
    await queue.settle([
        Settlement(claim.envelope.id, claim.attempt, SettleKind.PARK, block_tenant=block) for claim in claims
    ])  # fmt: skip
    counters = await queue.counters()
    assert (counters.waiting, counters.parked) == (0, len(tenants))


async def until_claimable(queue: PoolQueue, tasks: int) -> None:
    async def claimable() -> bool:
        return (await queue.counters()).waiting == tasks

    await until(claimable)


async def until_configured(client: Redis, queue: PoolQueue, version: int) -> None:
    async def configured() -> bool:
        return bool(await client.hget(queue.calls.keys.policy, "version") == str(version).encode())

    await until(configured)


async def test_a_raised_total_limit_frees_its_tasks_in_a_pool_without_workers(
    client: Redis, fleet_id: FleetId
) -> None:
    queue, keys = PoolQueue(client, fleet_id, POOL), FleetKeys(fleet_id)
    await publish(client, keys, config(fleet_id, "1"), 1)

    async with kept_up(client, fleet_id):
        await parked_for_good(queue, "acme")
        await publish(client, keys, config(fleet_id, "2"), 1)

        await until_claimable(queue, 1)


@pytest.mark.parametrize("block", [True, False], ids=["with its whole tenant", "alone"])
async def test_a_limit_raised_while_nobody_looked_frees_a_task_at_the_next_start(
    client: Redis, fleet_id: FleetId, block: bool
) -> None:
    queue, keys = PoolQueue(client, fleet_id, POOL), FleetKeys(fleet_id)
    await publish(client, keys, config(fleet_id, "1"), 1)
    async with kept_up(client, fleet_id):
        await until_configured(client, queue, 1)
    await parked_for_good(queue, "acme", block=block)
    await publish(client, keys, config(fleet_id, "2"), 1)

    async with kept_up(client, fleet_id):
        await until_claimable(queue, 1)


async def test_however_many_tenants_are_blocked_all_go_on_at_the_next_start(
    client: Redis, fleet_id: FleetId
) -> None:
    queue, many = PoolQueue(client, fleet_id, POOL), [f"tenant-{number}" for number in range(25)]
    await parked_for_good(queue, *many)
    await publish(client, FleetKeys(fleet_id), config(fleet_id, "2", tenants=many), 1)

    async with kept_up(client, fleet_id):
        await until_claimable(queue, 25)


async def test_a_budget_that_is_deleted_and_made_again_frees_its_tasks(
    client: Redis, fleet_id: FleetId
) -> None:
    queue, keys = PoolQueue(client, fleet_id, POOL), FleetKeys(fleet_id)
    await publish(client, keys, config(fleet_id, "1"), 1)

    async with kept_up(client, fleet_id):
        await until_configured(client, queue, 1)
        await parked_for_good(queue, "acme")
        await publish(client, keys, config(fleet_id, "1", tenants=()), 1)
        await until_configured(client, queue, 2)
        await publish(client, keys, config(fleet_id, "2"), 1)

        await until_claimable(queue, 1)


async def test_a_dead_workers_holds_end_although_no_other_worker_runs(
    client: Redis, fleet_id: FleetId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SWEEP_SECONDS", 0.05)
    ledger = RedisLedger(client, fleet_id)
    await publish(client, FleetKeys(fleet_id), config(fleet_id, "1"), 1)
    unsent = await ledger.reserve("acme", "t/1/1", 100, [TOTAL], lease_ms=1)
    sent = await ledger.reserve("acme", "t/1/2", 10, [TOTAL], lease_ms=300)
    assert isinstance(unsent, Reserved)
    assert isinstance(sent, Reserved)
    assert await ledger.mark_sent(sent.hold)

    async with kept_up(client, fleet_id):

        async def nothing_held() -> bool:
            [balance] = await ledger.balances("acme", [TOTAL])
            return balance.held == 0

        await until(nothing_held)
    [balance] = await ledger.balances("acme", [TOTAL])
    assert (balance.spent, balance.unconfirmed) == (10, 10)


async def test_a_task_expires_although_no_worker_claims(
    client: Redis, fleet_id: FleetId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "AUDIT_SECONDS", 0.05)
    queue = PoolQueue(client, fleet_id, POOL)
    await publish(client, FleetKeys(fleet_id), config(fleet_id, "1"), 1)
    task = replace(envelope(tenant="acme"), expires_after_seconds=1)
    await queue.submit([task])

    async with kept_up(client, fleet_id):

        async def has_failed() -> bool:
            [record] = await queue.get([task.id])
            return record is not None and (record.state, record.reason) == (TaskState.FAILED, "Expired")

        await until(has_failed)
    assert (await queue.counters()).unsettled_ends == {("failed", task.type): 1}


async def test_a_wrong_count_is_mended_and_told(
    client: Redis, fleet_id: FleetId, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upkeep, "AUDIT_SECONDS", 0.05)
    queue = PoolQueue(client, fleet_id, POOL)
    await publish(client, FleetKeys(fleet_id), config(fleet_id, "1"), 1)
    await queue.submit([envelope(tenant="acme")])
    await client.hset(queue.calls.keys.waiting, "acme", 7)

    async with kept_up(client, fleet_id):

        async def is_told() -> bool:
            return "a pool's counts were wrong, and are mended" in caplog.text

        await until(is_told)
    assert (await queue.counters()).waiting == 1
