"""A coordinator whose clock is an hour off goes by Redis's, as the ledger and the queue do."""

from datetime import UTC, datetime, timedelta, tzinfo

import pytest
from tests.servers.coordinator import fleet_config, refund, running_coordinator

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.budget.limits import Reserved
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.queue import ids
from agentfleet_core.settings import FleetId

LIMITS = [{"name": "hour", "period": "Hour", "amount": "1.00"}]
CLOCKS = ("agentfleet_coordinator.submit.datetime", "agentfleet_coordinator.routes.fleet.datetime")


@pytest.mark.parametrize("hours", [-1, 1])
async def test_an_hour_off_changes_no_answer(
    redis: RedisServer, fleet_id: FleetId, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    class Off(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(hours=hours)

    tenants = fleet_config(fleet_id).model_dump(mode="json", by_alias=True)["tenants"]
    tenants["acme"]["spec"]["limits"] = LIMITS
    nanoseconds = ids.time.time_ns
    async with running_coordinator(redis, fleet_id, tenants=tenants) as coordinator:
        spec = coordinator.services.follower.config.tenants["acme"].spec
        ledger = coordinator.services.ledger
        now = datetime.now(UTC)
        soon = now + timedelta(seconds=10)  # the test may run into the next hour
        for number, windows in enumerate({tuple(all_windows(spec, at)) for at in (now, soon)}):
            spent = await ledger.reserve("acme", f"t/1/{number}", 10**9, windows, lease_ms=60_000)
            assert isinstance(spent, Reserved)
            await ledger.settle(spent.hold, 10**9)
        monkeypatch.setattr(ids.time, "time_ns", lambda: nanoseconds() + hours * 3_600 * 10**9)
        for clock in CLOCKS:
            monkeypatch.setattr(clock, Off, raising=False)

        refused = await coordinator.acme.post("/v1/tasks", json=refund(mode="reject"))
        assert refused.status_code == 402, refused.text
        submitted = await coordinator.submitted(idempotency_key="k")
        again = await coordinator.acme.post("/v1/tasks", json=refund(idempotency_key="k"))
        assert (again.status_code, again.json()["id"]) == (200, submitted["id"])
        [listed] = (await coordinator.acme.get("/v1/tasks")).json()["items"]
        assert listed["id"] == submitted["id"]
        assert (await coordinator.claim()).envelope.id == submitted["id"]
        [acme] = [
            tenant
            for tenant in (await coordinator.admin.get("/v1/fleet")).json()["tenants"]
            if tenant["tenant"] == "acme"
        ]
        assert [limit["spent_nano_usd"] for limit in acme["limits"]] == [10**9]
