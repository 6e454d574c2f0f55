"""The fleet as its operator sees and steers it over HTTP: with an admin key, and with nothing else."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.integration.queue.queue_rooms import envelope
from tests.servers.coordinator import PRICE, Coordinator, fleet_config, refund, running_coordinator, until

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import Reserved
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.fleet.store import publish, switches
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.envelope import SettleKind, Settlement
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.settings import FleetId

PLAN = {
    "pool": "batch",
    "replicas": 4,
    "ready": 3,
    "spend_per_hour_nano_usd": 39_800_000_000,
    "notes": [{"reason": "SpendPerHour", "replicas": 4, "text": "maxSpendPerHour is 40.00"}],
    "events": [
        {"at_ms": 1_795_529_340_000, "before": 3, "after": 4, "reason": "TargetWait", "text": "29 wanted"}
    ],
    "text": "batch wants 4 workers\n  4  SpendPerHour  maxSpendPerHour is 40.00",
}


async def test_the_fleet_at_a_glance(coordinator: Coordinator) -> None:
    await coordinator.submitted()
    await coordinator.submitted(pool="batch")
    await coordinator.redis.hset(FleetKeys(coordinator.fleet).plans, "batch", json.dumps(PLAN))
    windows = all_windows(fleet_config(coordinator.fleet).tenants["acme"].spec, datetime.now(UTC))
    held = await RedisLedger(coordinator.redis, coordinator.fleet).reserve(
        "acme", "t/1/1", 31_000_000, windows, lease_ms=60_000
    )
    assert isinstance(held, Reserved)

    fleet = (await coordinator.admin.get("/v1/fleet")).json()

    assert fleet["fleet"] == {
        "install": coordinator.fleet.install, "namespace": coordinator.fleet.namespace, "config_version": 1,
    }  # fmt: skip
    pools = {pool["name"]: pool for pool in fleet["pools"]}
    assert list(pools) == ["batch", "interactive", "tiny"]
    assert (pools["batch"]["workers"], pools["batch"]["lane"]) == (3, "Batch")
    assert pools["batch"]["spend_per_hour_usd"] == "39.8"
    assert pools["batch"]["counters"]["waiting"] == 1
    assert pools["interactive"]["plan"] is None
    acme, globex = fleet["tenants"]
    (day,) = acme["limits"]
    assert (day["name"], day["period"], day["amount_usd"]) == ("day", "Day", "5")
    assert (day["spent_usd"], day["held_usd"], day["remaining_usd"]) == ("0", "0.031", "4.969")
    assert datetime.fromisoformat(day["resets_at"]) > datetime.now(UTC)
    assert (acme["phase"], globex["phase"]) == ("Normal", "Normal")
    (price,) = fleet["tiers"][0].pop("prices")
    assert fleet["tiers"][0] == {"name": "fast", "rank": 1, "models": ["model-1"]}
    assert (price["model"], price["effective_from"]) == ("model-1", "2026-01-01")
    assert price["bands"][0]["input"] == PRICE["input"]
    (event,) = fleet["events"]
    assert (event["pool"], event["from"], event["to"], event["reason"]) == ("batch", 3, 4, "TargetWait")


async def test_an_exhausted_tenant_shows_what_waits_for_its_budget(coordinator: Coordinator) -> None:
    await coordinator.submitted()
    claim = await coordinator.claim()
    later = claim.now_ms + 3_600_000
    await coordinator.settle(
        claim, SettleKind.PARK, reason="BudgetExhausted", not_before_ms=later, block_tenant=True
    )
    await coordinator.submitted()

    acme, globex = (await coordinator.admin.get("/v1/fleet")).json()["tenants"]

    assert (acme["phase"], globex["phase"]) == ("Exhausted", "Normal")
    assert acme["waiting_for_budget"]["interactive"] >= 1


async def test_no_tenant_is_left_out_however_many_are_blocked(redis: RedisServer, fleet_id: FleetId) -> None:
    many = [f"tenant-{number}" for number in range(25)]
    limits = [{"name": "total", "period": "Total", "amount": "5.00"}]
    tenants = {name: {"budget": name, "spec": {"tenant": name, "limits": limits}} for name in many}
    async with running_coordinator(redis, fleet_id, tenants=tenants) as coordinator:
        queue = coordinator.queue()
        await queue.submit([replace(envelope(tenant=name), id=new_task_id(queue.pool)) for name in many])
        await queue.settle([
            Settlement(claim.envelope.id, claim.attempt, SettleKind.PARK, block_tenant=True)
            for claim in await queue.claim("w1", len(many), lease_ms=60_000)
        ])  # fmt: skip

        told = (await coordinator.admin.get("/v1/fleet")).json()["tenants"]

    assert {tenant["phase"] for tenant in told} == {"Exhausted"}
    assert len(told) == 25


async def test_why_a_pool_has_its_size(coordinator: Coordinator) -> None:
    unplanned = (await coordinator.admin.get("/v1/pools/batch/why")).json()
    await coordinator.redis.hset(FleetKeys(coordinator.fleet).plans, "batch", json.dumps(PLAN))
    planned = (await coordinator.admin.get("/v1/pools/batch/why")).json()
    unknown = await coordinator.admin.get("/v1/pools/bacth/why")

    assert "no plan yet" in unplanned["text"]
    assert planned["text"] == PLAN["text"]
    assert planned["notes"] == PLAN["notes"]
    assert (unknown.status_code, unknown.json()["detail"]) == (
        404,
        "pool bacth does not exist; did you mean batch?",
    )


async def test_a_pause_shows_everywhere_and_resume_undoes_it(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    paused = await coordinator.admin.post("/v1/pause", json={"target": "pool/interactive"})
    again = await coordinator.admin.post("/v1/pause", json={"target": "pool/interactive"})
    assert paused.json() == {
        "target": "pool/interactive", "paused": True, "changed": True, "also_paused": None,
    }  # fmt: skip
    assert again.json()["changed"] is False

    async def seen() -> bool:
        return coordinator.services.follower.paused(pool="interactive") == "pool/interactive"

    await until(seen)
    fleet = (await coordinator.admin.get("/v1/fleet")).json()
    assert [switch["target"] for switch in fleet["switches"]] == ["pool/interactive"]
    pools = {pool["name"]: pool["paused"] for pool in fleet["pools"]}
    assert pools == {"batch": None, "interactive": "pool/interactive", "tiny": None}
    why = (await coordinator.acme.get(f"/v1/tasks/{task['id']}/why")).json()
    assert "pool/interactive is paused" in why["text"]
    assert (await coordinator.acme.post("/v1/tasks", json=refund())).status_code == 201

    resumed = await coordinator.admin.post("/v1/resume", json={"target": "pool/interactive"})
    assert resumed.json() == {
        "target": "pool/interactive", "paused": False, "changed": True, "also_paused": None,
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["pause", "resume"])
@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("pool/interactve", "pool interactve does not exist; did you mean interactive?"),
        ("tenant/nobody", "tenant nobody does not exist; there are acme, globex"),
        (
            "task-type/refund-requests",
            "task type refund-requests does not exist; did you mean refund-request?",
        ),
    ],
)
async def test_a_slip_of_the_pen_is_no_pause(
    coordinator: Coordinator, verb: str, target: str, sentence: str
) -> None:
    answer = await coordinator.admin.post(f"/v1/{verb}", json={"target": target})
    assert (answer.status_code, answer.json()["detail"]) == (404, sentence)
    assert await switches(coordinator.redis, FleetKeys(coordinator.fleet)) == {}


async def test_what_is_yet_to_come_can_be_paused_and_resumed(coordinator: Coordinator) -> None:
    later = {"target": "task-type/later"}
    paused = await coordinator.admin.post("/v1/pause", json=later | {"allow_missing": True})
    assert (paused.status_code, paused.json()["changed"]) == (200, True)

    async def resumed() -> bool:
        return (await coordinator.admin.post("/v1/resume", json=later)).status_code == 200

    await until(resumed)
    assert await switches(coordinator.redis, FleetKeys(coordinator.fleet)) == {}
    odd = await coordinator.admin.post("/v1/pause", json=later | {"allow_missing": "yes"})
    assert (odd.status_code, odd.json()["field"]) == (422, "allow_missing")


async def test_resume_says_what_still_pauses(coordinator: Coordinator) -> None:
    config = fleet_config(coordinator.fleet)
    spec = config.tenants["acme"].spec.model_copy(update={"paused": True})
    tenants = dict(config.tenants) | {"acme": config.tenants["acme"].model_copy(update={"spec": spec})}
    changed = config.model_copy(update={"tenants": tenants})
    await publish(coordinator.redis, FleetKeys(coordinator.fleet), changed, term=1)

    async def seen() -> bool:
        return coordinator.services.follower.paused(tenant="acme") is not None

    await until(seen)
    acme = (await coordinator.admin.post("/v1/resume", json={"target": "tenant/acme"})).json()
    assert acme == {
        "target": "tenant/acme", "paused": True, "changed": False, "also_paused": "spec.paused is true",
    }  # fmt: skip
    await coordinator.admin.post("/v1/pause", json={"target": "fleet"})

    async def all_paused() -> bool:
        return coordinator.services.follower.paused(tenant="globex") == "fleet"

    await until(all_paused)
    globex = (await coordinator.admin.post("/v1/resume", json={"target": "tenant/globex"})).json()
    assert (globex["paused"], globex["also_paused"]) == (True, "fleet is paused by hand")


async def test_only_an_admin_may_pause_and_only_what_exists_as_a_word(coordinator: Coordinator) -> None:
    forbidden = await coordinator.acme.post("/v1/pause", json={"target": "fleet"})
    assert (forbidden.status_code, forbidden.json()["title"]) == (403, "Forbidden")
    for body in ({}, {"target": 1}, {"target": ""}, {"target": "everything"}, {"target": "pool/"}, []):
        answer = await coordinator.admin.post("/v1/pause", json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, "target"), body


async def test_a_new_config_is_followed_without_a_restart(coordinator: Coordinator) -> None:
    config = fleet_config(coordinator.fleet)
    types = {"later": config.task_types["anything"]}
    changed = config.model_copy(update={"task_types": types})
    await publish(coordinator.redis, FleetKeys(coordinator.fleet), changed, term=1)

    async def later_is_known() -> bool:
        return (await coordinator.acme.post("/v1/tasks", json={"type": "later"})).status_code == 201

    await until(later_is_known)
    gone = await coordinator.acme.post("/v1/tasks", json=refund())
    assert (gone.status_code, gone.json()["field"]) == (422, "type")


async def test_a_pool_that_is_being_deleted_takes_no_tasks(coordinator: Coordinator) -> None:
    config = fleet_config(coordinator.fleet)
    leaving = config.pools["batch"].model_copy(update={"deleting": True})
    changed = config.model_copy(update={"pools": dict(config.pools) | {"batch": leaving}})
    await publish(coordinator.redis, FleetKeys(coordinator.fleet), changed, term=1)

    async def refused() -> bool:
        return (await coordinator.acme.post("/v1/tasks", json={"type": "anything"})).status_code == 422

    await until(refused)
    answer = await coordinator.acme.post("/v1/tasks", json={"type": "anything"})
    assert "is being deleted" in answer.json()["detail"]


async def test_metrics_count_what_was_asked(coordinator: Coordinator) -> None:
    await coordinator.submitted()
    await coordinator.acme.post("/v1/tasks", json={"type": "nothing"})

    text = (await coordinator.nobody.get("/metrics")).text

    assert 'agentfleet_http_requests_total{method="POST",route="/v1/tasks",status="201"}' in text
    assert (
        'agentfleet_tasks_submitted_total{outcome="accepted",pool="interactive",task_type="refund-request"}'
        in text
    )
    assert 'agentfleet_tasks_submitted_total{outcome="refused",pool="other",task_type="other"}' in text
    assert "agentfleet_redis_up 1.0" in text
