"""How a tenant stands, what is paused, what a pool's counts come to: decided once, the same for all."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agentfleet_coordinator import fleet_view, views
from agentfleet_core.api.conditions import Reason
from agentfleet_core.api.v1alpha1 import AgentPoolSpec, TenantBudgetSpec
from agentfleet_core.api.v1alpha1.tenant_budget import Phase
from agentfleet_core.budget.limits import Balance
from agentfleet_core.budget.standing import amount_words, blocking_words, refusing, resets_at, standing
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.errors import InvalidInput
from agentfleet_core.fleet.compile import Verdict
from agentfleet_core.fleet.config import CompiledPool, CompiledTenant, FleetConfig
from agentfleet_core.fleet.pauses import FLEET, Pause, Pauses, Switch, Target, TargetKind
from agentfleet_core.planner.snapshot import PoolPlan, PoolSnapshot
from agentfleet_core.queue.depth import claimable, has_work, held_back, queued, running
from agentfleet_core.queue.envelope import Block, PoolCounters
from agentfleet_operator.budget_status import BudgetFacts, budget_status
from agentfleet_operator.status import PoolFacts, pool_status

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
USD = 1_000_000_000
SPEC = TenantBudgetSpec.model_validate(
    {
        "tenant": "acme",
        "limits": [
            {"name": "day", "period": "Day", "amount": "5.00", "timeZone": "Europe/Berlin"},
            {"name": "month", "period": "Month", "amount": "50.00", "timeZone": "Europe/Berlin"},
            {"name": "all", "period": "Total", "amount": "100"},
        ],
    }
)
COUNTERS = PoolCounters(
    waiting=4, blocked=8, running=3, parked=16, due=2, orphaned=1, oldest_waiting_ms=0, next_due_ms=0,
    admitted_total=0, started_total=0, ended_total=0, busy_ms_total=0, wait_ms_total=0,
    spent_total=0, now_ms=0, blocked_tenants={"acme": 8},
)  # fmt: skip
STATES = ("waiting", "blocked", "running", "parked", "due", "orphaned")
SWITCHED = {target: Switch("ana", 1) for target in ("tenant/acme", "task-type/refund", "tenant/gone")}


def balances(*spent: int, held: int = 0) -> list[Balance]:
    return [Balance(limit, one, held, 0) for limit, one in zip(all_windows(SPEC, NOW), spent, strict=True)]


def config(*, pool_paused: bool = False, tenant_paused: bool = False) -> FleetConfig:
    spec = SPEC.model_copy(update={"paused": tenant_paused})
    return FleetConfig(
        install="i",
        namespace="n",
        pools={"chat": CompiledPool(spec=AgentPoolSpec(paused=pool_paused), revision="r")},
        tenants={"acme": CompiledTenant(budget="acme-budget", spec=spec)},
    )


BY_HAND = Pause(Target(TargetKind.TENANT, "acme"), by_hand=True)


@pytest.mark.parametrize(
    ("spent", "waiting", "pause", "phase", "reason", "sentence"),
    [
        (balances(4 * USD, 4 * USD, 4 * USD), 0, None, "Normal", "WithinLimits", "every limit has room"),
        (balances(5 * USD, 5 * USD, 5 * USD), 0, None, "Exhausted", "LimitReached",
         "$5.00 of $5.00 are spent for day"),
        (balances(4 * USD, 4 * USD, 4 * USD), 1, None, "Exhausted", "LimitReached",
         "1 task waits until 00:00 Europe/Berlin; a call may cost more than the $1.00 left of day"),
        (balances(0, 0, 100 * USD), 3, None, "Exhausted", "LimitReached",
         "3 tasks wait for a higher limit; $100.00 of $100.00 are spent for all"),
        (balances(5 * USD, 5 * USD, 5 * USD), 2, BY_HAND, "Paused", "PausedBySwitch",
         "tenant/acme is paused by hand"),
        (None, 2, None, "Unknown", "NotObserved", "the ledger could not be read"),
    ],
)  # fmt: skip
def test_a_tenants_standing(
    spent: list[Balance] | None, waiting: int, pause: Pause | None, phase: str, reason: str, sentence: str
) -> None:
    stands = standing(SPEC, spent, waiting=waiting, pause=pause)
    assert (stands.phase, stands.reason, stands.sentence) == (Phase(phase), Reason(reason), sentence)


def test_what_is_only_held_exhausts_nothing_and_yet_makes_a_limit_the_tightest() -> None:
    stands = standing(SPEC, balances(0, 0, 0, held=5 * USD), waiting=0, pause=None)
    assert stands.phase is Phase.NORMAL
    assert stands.limit is not None
    assert (stands.limit.limit.name, stands.resets) == ("day", "00:00 Europe/Berlin")


def test_a_balance_of_a_limit_that_was_renamed_meanwhile_counts_for_nothing() -> None:
    day, month, _ = SPEC.limits
    renamed = SPEC.model_copy(update={"limits": [day.model_copy(update={"name": "daily"}), month]})
    stands = standing(renamed, balances(5 * USD, 0, 100 * USD), waiting=0, pause=None)
    assert (stands.phase, stands.limit and stands.limit.limit.name) == (Phase.NORMAL, "month")


def test_who_needs_more_than_what_open_holds_could_free_is_refused() -> None:
    found = balances(4 * USD, 4 * USD, 4 * USD, held=USD)
    assert refusing(found, USD) is None
    refused = refusing(found, USD + 1)
    assert refused is not None
    assert refused.limit.name == "day"


def test_a_blocked_tenant_waits_for_the_limit_that_refused_it_while_its_window_ends_then() -> None:
    day, month, total = all_windows(SPEC, NOW)
    blocks = [Block(window.name, window.end_ms) for window in (day, month, total)]
    assert [blocking_words(SPEC, block, NOW) for block in blocks] == [
        "day limit resets 00:00 Europe/Berlin",
        "month limit resets 2026-12-01 00:00 Europe/Berlin",
        "all limit never resets",
    ]
    assert blocking_words(SPEC, Block("day", day.end_ms + 1), NOW) == ""
    assert blocking_words(SPEC, Block("week", day.end_ms), NOW) == ""


def test_a_limit_resets_on_its_own_clock() -> None:
    windows = all_windows(SPEC, NOW)
    assert [resets_at(limit, window) for limit, window in zip(SPEC.limits, windows, strict=True)] == [
        "00:00 Europe/Berlin", "2026-12-01 00:00 Europe/Berlin", "never",
    ]  # fmt: skip
    words = [
        amount_words(limit.period, window.amount) for limit, window in zip(SPEC.limits, windows, strict=True)
    ]
    assert words == ["$5.00/day", "$50.00/month", "$100.00 in all"]


@pytest.mark.parametrize(
    ("pauses", "asked", "expected"),
    [
        (Pauses(config()), {"pool": "chat", "tenant": "acme", "task_type": "refund"}, None),
        (Pauses(config(), {"fleet": Switch("ana", 1)}), {}, "fleet"),
        (Pauses(config(), {"fleet": Switch("ana", 1), **SWITCHED}), {"tenant": "acme"}, "fleet"),
        (Pauses(config(pool_paused=True)), {"pool": "chat"}, "pool/chat"),
        (Pauses(config(), SWITCHED), {"pool": "chat", "tenant": "acme"}, "tenant/acme"),
        (Pauses(config(), SWITCHED), {"tenant": "globex", "task_type": "refund"}, "task-type/refund"),
        (Pauses(config(tenant_paused=True)), {"tenant": "acme"}, "tenant/acme"),
    ],
)
def test_the_widest_pause_is_named(pauses: Pauses, asked: Any, expected: str | None) -> None:
    assert pauses.of(**asked) == expected


def test_claims_leave_out_what_is_paused_by_hand_or_by_its_manifest() -> None:
    assert Pauses(config(tenant_paused=True)).tenants == ("acme",)
    assert Pauses(config(), SWITCHED).tenants == ("acme", "gone")
    assert Pauses(config(), SWITCHED).task_types == ("refund",)
    assert Pauses(config(tenant_paused=True)).task_types == ()


@pytest.mark.parametrize("text", ["fleet", "pool/a", "tenant/a", "task-type/a"])
def test_a_target_reads_as_it_was_written(text: str) -> None:
    assert str(Target.parse(text)) == text


@pytest.mark.parametrize("text", ["", "pool", "pool/", "fleet/", "fleet/a", "worker/a", "tenant"])
def test_anything_else_cannot_be_paused(text: str) -> None:
    with pytest.raises(InvalidInput, match="write fleet, pool/NAME"):
        Target.parse(text)


def test_each_task_counts_once() -> None:
    every = sum(getattr(COUNTERS, word) for word in STATES)
    assert (claimable(COUNTERS), running(COUNTERS), held_back(COUNTERS)) == (7, 3, 24)
    assert claimable(COUNTERS) + running(COUNTERS) + held_back(COUNTERS) == every
    assert queued(COUNTERS) == 14
    assert has_work(COUNTERS)
    assert not has_work(replace(COUNTERS, waiting=0, due=0, orphaned=0, running=0))


@pytest.mark.parametrize("switches", [{}, {"fleet": Switch("ana", 1)}, SWITCHED])
@pytest.mark.parametrize("tenant_paused", [False, True])
@pytest.mark.parametrize("spent", [0, 5 * USD])
@pytest.mark.parametrize("waiting", [0, 8])
def test_kubectl_and_the_api_say_the_same(
    switches: dict[str, Switch], tenant_paused: bool, spent: int, waiting: int
) -> None:
    now = config(tenant_paused=tenant_paused)
    pauses = Pauses(now, switches)
    found = balances(spent, spent, spent)
    verdict = Verdict("", "", True, Reason.ACCEPTED, "", True)
    counters = replace(COUNTERS, blocked_tenants={"acme": waiting} if waiting else {})

    seen = fleet_view.Seen(now, NOW, {"chat": counters}, {}, {"acme": found}, pauses)
    [of_api] = fleet_view.fleet(seen)["tenants"]
    facts = BudgetFacts(1, SPEC, verdict, "", found, waiting, pauses.find(tenant="acme"), NOW)
    of_kubectl = budget_status(facts, {})

    assert of_api["phase"] == of_kubectl["phase"]
    limit = next(one for one in of_api["limits"] if one["name"] == of_api["tightest"])
    assert limit["resets"] == of_kubectl["resets"]
    [paused] = [one for one in of_kubectl["conditions"] if one["type"] == "Paused"]
    assert (of_api["paused"] is not None) == (paused["status"] == "True")


def test_kubectl_and_the_api_count_alike() -> None:
    spec = AgentPoolSpec()
    snapshot = PoolSnapshot("chat", spec, 0.0, **{word: getattr(COUNTERS, word) for word in STATES})
    facts = PoolFacts(
        generation=1, spec=spec, name="chat", verdict=None, problem="", revision="r", seen=None,
        snapshot=snapshot, plan=PoolPlan("chat", 0, 0, "", ()), refused="", deleting=False, draining="",
        contested_by="", pause=Pause(FLEET, by_hand=True), now=NOW,
    )  # fmt: skip
    of_kubectl, of_api = pool_status(facts, {}), views.counters(COUNTERS)
    for word in ("waiting", "running", "parked"):
        assert of_kubectl[word] == of_api[word], word
