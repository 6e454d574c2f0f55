"""What a tenant that is blocked in a pool waits for, as the pool's plan tells it."""

from dataclasses import replace
from datetime import UTC, datetime

from agentfleet_core.api.v1alpha1 import AgentPoolSpec
from agentfleet_core.api.v1alpha1.tenant_budget import TenantBudgetSpec
from agentfleet_core.autoscaler.ports import PoolObservation
from agentfleet_core.autoscaler.state import PoolState
from agentfleet_core.fleet.config import CompiledPool, CompiledTenant
from agentfleet_core.planner.plan import plan
from agentfleet_core.queue.envelope import Block, PoolCounters

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 25, tzinfo=UTC)
COUNTERS = PoolCounters(
    waiting=0, blocked=20, running=0, parked=3, due=0, orphaned=0, oldest_waiting_ms=0, next_due_ms=0,
    admitted_total=23, started_total=3, ended_total=0, busy_ms_total=0, wait_ms_total=0, spent_total=0,
    now_ms=int(NOON.timestamp() * 1000),
)  # fmt: skip


def tenant(name: str, period: str) -> CompiledTenant:
    limits = [
        {"name": "refunds", "period": period, "amount": "1.00", "taskType": "refund-request"},
        {"name": "calls", "period": period, "amount": "9.00"},
        {"name": "spend", "period": period, "amount": "5.00"},
    ]
    spec = TenantBudgetSpec.model_validate({"tenant": name, "limits": limits})
    return CompiledTenant(budget=name, spec=spec)


TENANTS = {"globex": tenant("globex", "Day"), "acme": tenant("acme", "Total")}


def not_counted(blocked: dict[str, int], blocks: dict[str, Block]) -> list[str]:
    state = PoolState("chat")
    state.read(replace(COUNTERS, blocked_tenants=blocked, blocks=blocks), 0.0)
    compiled = CompiledPool(spec=AgentPoolSpec(), revision="r1")
    seen = PoolObservation(replicas=0, ready=0)
    return [note.text for note in plan(state.see(compiled, seen, None, 0.0, tenants=TENANTS)).not_counted]


def test_each_blocked_tenant_is_told_with_its_limit_and_when_that_resets() -> None:
    midnight_ms = int(MIDNIGHT.timestamp() * 1000)
    blocks = {"globex": Block("spend", midnight_ms), "acme": Block("spend", 0)}
    assert not_counted({"globex": 12, "acme": 8}, blocks) == [
        "12 tasks of globex, whose spend limit resets 00:00 UTC",
        "8 tasks of acme, whose spend limit never resets",
    ]


def test_a_limit_that_has_changed_meanwhile_is_not_guessed() -> None:
    then = Block("spend", 1)
    assert not_counted({"globex": 20}, {"globex": then}) == ["20 tasks of globex, whose budget has no room"]
    assert not_counted({"gone": 20}, {"gone": then}) == ["20 tasks of gone, whose budget has no room"]
