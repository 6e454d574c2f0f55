"""What the command line says while a task waits for its tenant's budget, and when it may not wait."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.servers.coordinator import ACME_KEY, ADMIN_KEY, Coordinator, CoordinatorThread
from typer.testing import CliRunner

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_cli.main import app
from agentfleet_core.queue.envelope import SettleKind
from agentfleet_core.settings import FleetId

WHY = "BudgetExhausted: $5.00 of $5.00 are spent for day"
REFUND = ("submit", "refund-request", "order=A-1001", "message=It broke.")


@pytest.fixture
def running(
    redis: RedisServer, fleet_id: FleetId, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CoordinatorThread]:
    with CoordinatorThread(redis, fleet_id) as found:
        monkeypatch.setenv("AGENTFLEET_URL", found.coordinator.url)
        monkeypatch.setenv("AGENTFLEET_API_KEY", ACME_KEY)
        monkeypatch.setenv("AGENTFLEET_ADMIN_KEY", ADMIN_KEY)
        yield found


async def block(coordinator: Coordinator) -> None:
    await coordinator.submitted()
    claim = await coordinator.claim()
    due = claim.now_ms + 3_600_000
    await coordinator.settle(claim, SettleKind.PARK, not_before_ms=due, block_tenant=True, reason=WHY)


async def go_on(coordinator: Coordinator) -> None:
    await coordinator.queue().unblock("acme")
    for _ in range(2):
        await coordinator.settle(await coordinator.claim(), output=b'{"reply":"We are sorry."}')


def test_submit_wait_says_that_it_waits_and_until_when(running: CoordinatorThread) -> None:
    running.call(block(running.coordinator))
    command = [sys.executable, "-m", "agentfleet_cli", *REFUND, "--wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith("task/interactive.")
        told = waiting.stderr.readline()
        assert told.startswith("  parked until 20")
        assert told.endswith(f": {WHY}\n")
        assert "Ctrl-C leaves it waiting: agentfleet get task/interactive." in waiting.stderr.readline()
        assert "--mode reject refuses" in waiting.stderr.readline()
        running.call(go_on(running.coordinator))
        output, rest = waiting.communicate(timeout=30)
    assert waiting.returncode == 0
    assert "We are sorry." in output
    assert "succeeded, 0 steps" in rest


def test_a_wait_that_is_bounded_ends_with_what_the_task_waits_for(running: CoordinatorThread) -> None:
    running.call(block(running.coordinator))
    done = CliRunner().invoke(app, [*REFUND, "--wait", "--timeout", "0.2"])
    assert done.exit_code == 7
    assert "  parked until 20" in done.stderr
    assert f": {WHY}\n" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: the wait for task interactive.")


def test_who_would_rather_not_wait_is_refused(running: CoordinatorThread) -> None:
    running.call(block(running.coordinator))
    done = CliRunner().invoke(app, [*REFUND, "--mode", "reject"])
    assert done.exit_code == 6
    assert (
        "Tenant acme has spent $0.00 of $5.00 for Day, and a call does not fit the rest. It resets at 20"
        in done.stderr
    )


def test_a_task_that_cannot_start_says_so_where_it_was_submitted(running: CoordinatorThread) -> None:
    paused = "  pool/interactive is paused; nothing starts until it is resumed"
    assert CliRunner().invoke(app, ["pause", "pool/interactive"]).exit_code == 0
    submitted = CliRunner().invoke(app, [*REFUND])
    assert submitted.exit_code == 0
    assert submitted.stdout.endswith(" is queued in interactive for acme\n")
    assert paused in submitted.stderr.splitlines()
    waited = CliRunner().invoke(app, [*REFUND, "--wait", "--timeout", "0.2"])
    assert waited.exit_code == 7
    assert waited.stderr.splitlines()[-2] == paused
    assert CliRunner().invoke(app, ["resume", "pool/interactive"]).exit_code == 0
    assert "paused" not in CliRunner().invoke(app, [*REFUND]).stderr


def test_commands_that_change_something_answer_in_json_too(running: CoordinatorThread) -> None:
    def said(*arguments: str) -> object:
        done = CliRunner().invoke(app, [*arguments, "--output", "json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    paused = {"target": "tenant/acme", "paused": True, "changed": True, "also_paused": None}
    assert said("pause", "tenant/acme") == paused
    assert said("resume", "tenant/acme") == paused | {"paused": False}
    task = running.call(running.coordinator.submitted())
    cancelled = said("cancel", f"task/{task['id']}")
    assert isinstance(cancelled, dict)
    assert (cancelled["id"], cancelled["state"]) == (task["id"], "cancelled")
    fleet = said("watch", "--once")
    assert isinstance(fleet, dict)
    assert [pool["name"] for pool in fleet["pools"]] == ["batch", "interactive", "tiny"]
    why = said("why", f"task/{task['id']}")
    assert isinstance(why, dict)
    assert why["task"]["id"] == task["id"]
