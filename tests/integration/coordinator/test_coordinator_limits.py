"""When there is too much, too little money, or no Redis: who is refused, with what, and what goes on."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

from tests.servers.coordinator import (
    ACME_KEY,
    Coordinator,
    client,
    fleet_config,
    refund,
    running_coordinator,
    serving,
    until,
)

from agentfleet_cli.local.redis_server import RedisServer, free_port, redis_server
from agentfleet_core.api.v1alpha1 import TenantBudgetSpec
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import Reserved
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.fleet.config import key_hash
from agentfleet_core.queue.envelope import SettleKind
from agentfleet_core.settings import FleetId, Settings


async def test_a_full_pool_answers_429_and_when_to_come_back(coordinator: Coordinator) -> None:
    for _ in range(2):
        assert (await coordinator.acme.post("/v1/tasks", json={"type": "crowded"})).status_code == 201

    refused = await coordinator.acme.post("/v1/tasks", json={"type": "crowded"})

    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "its maxQueued is 2" in refused.json()["detail"]
    assert (await coordinator.acme.post("/v1/tasks", json=refund())).status_code == 201


async def test_a_batch_is_refused_from_where_the_pool_is_full(coordinator: Coordinator) -> None:
    answer = await coordinator.acme.post("/v1/tasks/batch", json={"tasks": [{"type": "crowded"}] * 4})

    assert [item["status"] for item in answer.json()["items"]] == [201, 201, 429, 429]


async def test_a_pool_that_drains_takes_tasks_again(coordinator: Coordinator) -> None:
    for _ in range(2):
        await coordinator.acme.post("/v1/tasks", json={"type": "crowded"})
    await coordinator.settle(await coordinator.claim("tiny"))

    async def admitted() -> bool:
        return (await coordinator.acme.post("/v1/tasks", json={"type": "crowded"})).status_code == 201

    await until(admitted)


async def spend(coordinator: Coordinator, amount: int, *, settle: bool = True) -> None:
    """As a worker does: a call of acme's that costs `amount` nano-USD, or one that is still held."""
    windows = all_windows(fleet_config(coordinator.fleet).tenants["acme"].spec, datetime.now(UTC))
    ledger = RedisLedger(coordinator.redis, coordinator.fleet)
    reserved = await ledger.reserve("acme", "task/1/1", amount, windows, lease_ms=60_000)
    assert isinstance(reserved, Reserved)
    if settle:
        await ledger.mark_sent(reserved.hold)
        await ledger.settle(reserved.hold, amount)


async def test_who_would_rather_not_wait_is_told_that_the_budget_is_spent(coordinator: Coordinator) -> None:
    await spend(coordinator, 5_000_000_000)

    refused = await coordinator.acme.post("/v1/tasks", json=refund(mode="reject"))

    problem = refused.json()
    assert (refused.status_code, problem["title"]) == (402, "Budget exhausted")
    assert (problem["tenant"], problem["limit"]) == ("acme", "day")
    spent = "Tenant acme has spent $5.00 of $5.00 for Day."
    assert problem["detail"].startswith(f"{spent} It resets at {problem['resets_at']}. ")
    assert "Raise limits[0].amount of TenantBudget acme" in problem["detail"]
    assert datetime.fromisoformat(problem["resets_at"]) > datetime.now(UTC)
    assert (await coordinator.acme.post("/v1/tasks", json=refund())).status_code == 201
    assert (await coordinator.globex.post("/v1/tasks", json=refund(mode="reject"))).status_code == 201


async def test_too_little_left_for_one_call_is_as_good_as_spent(coordinator: Coordinator) -> None:
    await spend(coordinator, 4_999_000_000)

    refused = await coordinator.acme.post("/v1/tasks", json=refund(mode="reject"))

    assert refused.status_code == 402
    assert "and one call may cost $0.0" in refused.json()["detail"]


async def block(coordinator: Coordinator, until_ms: int, *, limit: str = "") -> None:
    """As a worker does whose call of acme's did not fit what is left."""
    await coordinator.submitted()
    why = "BudgetExhausted: $4.99 of $5.00 are spent for day"
    await coordinator.settle(
        await coordinator.claim(),
        SettleKind.PARK,
        not_before_ms=until_ms,
        block_tenant=True,
        limit=limit,
        reason=why,
    )


async def test_who_would_rather_not_wait_behind_a_blocked_tenants_tasks_is_refused(
    coordinator: Coordinator,
) -> None:
    await spend(coordinator, 1_000_000_000)
    (day,) = all_windows(fleet_config(coordinator.fleet).tenants["acme"].spec, datetime.now(UTC))
    await block(coordinator, day.end_ms)

    refused = await coordinator.acme.post("/v1/tasks", json=refund(mode="reject"))

    problem = refused.json()
    assert (refused.status_code, problem["limit"]) == (402, "day")
    assert datetime.fromisoformat(problem["resets_at"]).timestamp() * 1000 == day.end_ms
    assert problem["detail"].startswith(
        "Tenant acme has spent $1.00 of $5.00 for Day, and a call does not fit the rest. It resets at "
    )
    elsewhere = await coordinator.acme.post("/v1/tasks", json=refund(mode="reject", pool="batch"))
    assert elsewhere.status_code == 201, "no call was refused in that pool"
    assert (await coordinator.globex.post("/v1/tasks", json=refund(mode="reject"))).status_code == 201
    await coordinator.queue().unblock("acme")
    assert (await coordinator.acme.post("/v1/tasks", json=refund(mode="reject"))).status_code == 201


async def test_of_two_limits_that_reset_together_the_one_is_told_that_refused(
    redis: RedisServer, fleet_id: FleetId
) -> None:
    day = {"name": "day", "period": "Day", "amount": "5.00"}
    refunds = {"name": "refunds", "period": "Day", "amount": "2.00", "taskType": "refund"}
    acme = {"tenant": "acme", "limits": [refunds, day]}
    tenants = {"acme": {"budget": "acme", "spec": acme, "keyHashes": [key_hash(ACME_KEY.encode())]}}
    async with running_coordinator(redis, fleet_id, tenants=tenants) as coordinator:
        windows = all_windows(TenantBudgetSpec.model_validate(acme), datetime.now(UTC))
        await block(coordinator, windows[0].end_ms, limit="day")

        problem = (await coordinator.acme.post("/v1/tasks", json=refund(mode="reject"))).json()

    assert (problem["status"], problem["limit"]) == (402, "day")


async def test_the_reset_is_told_on_the_limits_own_clock(redis: RedisServer, fleet_id: FleetId) -> None:
    day = {"name": "day", "period": "Day", "amount": "5.00", "timeZone": "Asia/Kolkata"}
    acme = {"tenant": "acme", "limits": [day]}
    tenants = {"acme": {"budget": "acme", "spec": acme, "keyHashes": [key_hash(ACME_KEY.encode())]}}
    async with running_coordinator(redis, fleet_id, tenants=tenants) as coordinator:
        windows = all_windows(TenantBudgetSpec.model_validate(acme), datetime.now(UTC))
        reserved = await coordinator.services.ledger.reserve(
            "acme", "task/1/1", 5_000_000_000, windows, lease_ms=60_000
        )
        assert isinstance(reserved, Reserved)
        await coordinator.services.ledger.settle(reserved.hold, 5_000_000_000)

        problem = (await coordinator.acme.post("/v1/tasks", json=refund(mode="reject"))).json()

    assert problem["resets_at"].endswith("T00:00:00+05:30")
    assert f"for Day (Asia/Kolkata). It resets at {problem['resets_at']}. " in problem["detail"]


async def test_what_is_only_held_is_not_spent(coordinator: Coordinator) -> None:
    await spend(coordinator, 5_000_000_000, settle=False)

    assert (await coordinator.acme.post("/v1/tasks", json=refund(mode="reject"))).status_code == 201


async def test_a_repeat_is_answered_even_when_the_budget_is_spent_by_now(coordinator: Coordinator) -> None:
    key = {"idempotency-key": "k"}
    first = await coordinator.acme.post("/v1/tasks", json=refund(mode="reject"), headers=key)
    await spend(coordinator, 5_000_000_000)

    again = await coordinator.acme.post("/v1/tasks", json=refund(mode="reject"), headers=key)

    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


async def test_without_redis_it_answers_503_lives_on_and_comes_back(fleet_id: FleetId) -> None:
    with redis_server(append_only=False) as own:
        async with running_coordinator(own, fleet_id) as coordinator:
            await coordinator.submitted()
            os.kill(own.process.pid, signal.SIGSTOP)
            try:
                refused = await coordinator.acme.post("/v1/tasks", json=refund())
                await _until_ready(coordinator, 503)
                at_once = await coordinator.acme.post("/v1/tasks", json=refund())
                alive = await coordinator.nobody.get("/healthz")
            finally:
                os.kill(own.process.pid, signal.SIGCONT)

            for answer in (refused, at_once):
                assert (answer.status_code, answer.json()["title"]) == (503, "Unavailable")
                assert int(answer.headers["retry-after"]) >= 1
            assert alive.status_code == 200
            await _until_ready(coordinator, 200)
            assert (await coordinator.acme.post("/v1/tasks", json=refund())).status_code == 201


async def test_a_redis_that_restarts_has_lost_nothing_that_was_accepted(
    fleet_id: FleetId, tmp_path: Path
) -> None:
    port = free_port()
    key = {"idempotency-key": "k"}
    with redis_server(folder=tmp_path, port=port) as first:
        async with running_coordinator(first, fleet_id) as coordinator:
            tasks = [refund(idempotency_key=f"batch-{n}") for n in range(200)]
            batch = (await coordinator.acme.post("/v1/tasks/batch", json={"tasks": tasks})).json()
            task = (await coordinator.acme.post("/v1/tasks", json=refund(), headers=key)).json()
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait()
            assert (await coordinator.acme.get(f"/v1/tasks/{task['id']}")).status_code == 503

            with redis_server(folder=tmp_path, port=port):
                await _until_ready(coordinator, 200)
                repeated = await coordinator.acme.post("/v1/tasks", json=refund(), headers=key)
                again = (await coordinator.acme.post("/v1/tasks/batch", json={"tasks": tasks})).json()

                assert (repeated.status_code, repeated.json()["id"]) == (200, task["id"])
                assert [item["task"]["id"] for item in again["items"]] == [
                    item["task"]["id"] for item in batch["items"]
                ]
                assert (await coordinator.queue().counters()).waiting == 201


async def _until_ready(coordinator: Coordinator, status: int) -> None:
    async def answers() -> bool:
        return (await coordinator.nobody.get("/readyz")).status_code == status

    await until(answers)


async def test_before_a_config_is_published_nothing_is_ready(redis: RedisServer, fleet_id: FleetId) -> None:

    async with serving(Settings(redis_url=redis.url, fleet=fleet_id)) as (url, _), client(url, "") as http:
        answer = await http.get("/readyz")

    assert (answer.status_code, answer.text) == (503, "no fleet config was published yet\n")
