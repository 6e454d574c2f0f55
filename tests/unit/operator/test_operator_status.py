"""What a status says, when it is written, and which of its changes are news."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentfleet_core.api.conditions import Reason
from agentfleet_core.api.v1alpha1 import AgentPoolSpec, TenantBudgetSpec
from agentfleet_core.api.v1alpha1.agent_pool import AgentPoolStatus
from agentfleet_core.api.v1alpha1.tenant_budget import TenantBudgetStatus
from agentfleet_core.autoscaler.ports import PoolObservation
from agentfleet_core.budget.limits import Balance
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.fleet.compile import Verdict
from agentfleet_core.fleet.pauses import FLEET, Pause, Target
from agentfleet_core.planner.snapshot import Note, PoolPlan, PoolSnapshot, Trouble
from agentfleet_operator.budget_status import BudgetFacts, budget_status
from agentfleet_operator.draining import DeletedPool, DrainStep, drain_step
from agentfleet_operator.news import Subject, condition_news, scale_news
from agentfleet_operator.rollout import WorkerState
from agentfleet_operator.status import PoolFacts, due_seconds, merge_patch, pool_status, whole

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SUBJECT = Subject("AgentPool", "shop", "interactive", "u-1")
ACCEPTED = Verdict("AgentPool", "interactive", True, Reason.ACCEPTED, "in the fleet config", True)


def plan(replicas: int, limited_by: str = "", *notes: Note) -> PoolPlan:
    return PoolPlan("interactive", replicas, replicas, limited_by, notes, wanted=replicas)


IMAGE = Trouble("ImagePullBackOff", "not found")


def lacking() -> PoolSnapshot:
    """Of a pool whose image lacks a handler."""
    trouble = Trouble("HandlerMissing", "shop:answer: no module shop (named by answer)")
    return PoolSnapshot("interactive", AgentPoolSpec(), NOW.timestamp(), trouble=(trouble,))


def facts(**changes: Any) -> PoolFacts:
    spec = AgentPoolSpec()
    known = PoolFacts(
        generation=2,
        spec=spec,
        name="interactive",
        verdict=ACCEPTED,
        problem="",
        revision="abc",
        seen=PoolObservation(replicas=3, ready=3),
        snapshot=PoolSnapshot("interactive", spec, NOW.timestamp(), waiting=1_843, running=7),
        plan=plan(3),
        refused="",
        deleting=False,
        draining="",
        contested_by="",
        pause=None,
        now=NOW,
    )
    return replace(known, **changes)


def condition(status: dict[str, Any], kind: str) -> tuple[str, str]:
    [found] = [one for one in status["conditions"] if one["type"] == kind]
    return found["status"], found["reason"]


@pytest.mark.parametrize(
    ("changes", "kind", "expected"),
    [
        ({}, "Ready", ("True", "WorkersReady")),
        ({"seen": PoolObservation(3, 1)}, "Ready", ("False", "WorkersStarting")),
        ({"plan": plan(0)}, "Ready", ("True", "ScaledToZero")),
        ({"plan": None}, "Ready", ("Unknown", "NotObserved")),
        ({"refused": "422 …"}, "Ready", ("False", "DeploymentRefused")),
        ({"seen": PoolObservation(3, 1, trouble=IMAGE)}, "Ready", ("False", "ImagePullBackOff")),
        ({"seen": PoolObservation(3, 3, trouble=IMAGE)}, "Ready", ("True", "WorkersReady")),
        ({"snapshot": lacking()}, "Ready", ("False", "HandlerMissing")),
        ({"snapshot": lacking()}, "CodeMissing", ("True", "HandlerMissing")),
        ({}, "CodeMissing", ("False", "NothingMissing")),
        ({"snapshot": None}, "CodeMissing", ("Unknown", "NotObserved")),
        ({"snapshot": lacking(), "plan": plan(0)}, "Ready", ("False", "HandlerMissing")),
        ({"problem": "unreadable"}, "Accepted", ("False", "NotAccepted")),
        ({"verdict": None}, "Accepted", ("Unknown", "NotObserved")),
        (
            {"pause": Pause(Target.parse("pool/interactive"), by_hand=False)},
            "Paused",
            ("True", "PausedBySpec"),
        ),
        ({"pause": Pause(FLEET, by_hand=True)}, "Paused", ("True", "PausedBySwitch")),
        ({"spec": AgentPoolSpec(replicas=4)}, "Pinned", ("True", "PinnedBySpec")),
        ({"plan": plan(3, "MaxReplicas")}, "ScalingLimited", ("True", "MaxReplicas")),
        ({}, "ScalingLimited", ("False", "WithinBounds")),
        (
            {"seen": PoolObservation(3, 3, contested=True), "contested_by": "hpa"},
            "ReplicasContested",
            ("True", "ForeignManager"),
        ),
        ({"seen": PoolObservation(3, 3, rolling_out=True)}, "Progressing", ("True", "RolloutRunning")),
        ({"deleting": True}, "Draining", ("True", "PoolDeleted")),
    ],
)
def test_each_fact_has_its_condition(changes: Any, kind: str, expected: tuple[str, str]) -> None:
    assert condition(pool_status(facts(**changes), {}), kind) == expected


def test_a_status_has_only_the_fields_of_its_kind() -> None:
    status = pool_status(facts(), {})
    known = {field.alias or name for name, field in AgentPoolStatus.model_fields.items()}
    assert set(status) <= known
    assert AgentPoolStatus.model_validate(status).waiting == 1_800


def test_a_silent_queue_leaves_the_figures_as_they_were() -> None:
    before = pool_status(facts(), {})
    spec = AgentPoolSpec()
    silent = facts(snapshot=PoolSnapshot("interactive", spec, NOW.timestamp(), known=False))
    assert pool_status(silent, before)["waiting"] == 1_800


def test_nothing_is_due_when_nothing_changed() -> None:
    before = pool_status(facts(), {})
    later = facts(now=NOW + timedelta(hours=1))
    assert pool_status(later, before) == before
    assert due_seconds(before, pool_status(later, before), 3_600) is None


def test_figures_wait_and_decisions_do_not() -> None:
    before = pool_status(facts(), {})
    figures = before | {"running": 8}
    assert due_seconds(before, figures, 4.0) == 6.0
    assert due_seconds(before, figures, 11.0) == 0.0
    assert due_seconds(before, before | {"desired": 4}, 0.0) == 0.0
    assert due_seconds(before, pool_status(facts(deleting=True), before), 0.0) == 0.0


def test_a_patch_names_what_changed_and_what_is_gone() -> None:
    assert merge_patch({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 5}) == {"b": 5, "c": None}


@pytest.mark.parametrize(("exact", "shown"), [(0, 0), (99, 99), (1_843, 1_800), (129_999, 130_000)])
def test_large_numbers_are_rounded(exact: int, shown: int) -> None:
    assert whole(exact) == shown


def test_conditions_that_another_hand_wrote_in_another_form_are_replaced() -> None:
    odd = {"conditions": [{"type": "Ready"}, "nonsense"]}
    assert condition(pool_status(facts(), odd), "Ready") == ("True", "WorkersReady")


def test_a_change_of_size_is_news_with_the_planners_word() -> None:
    note = Note("TargetWait", 3, "14 waiting")
    news = scale_news(SUBJECT, {"desired": 1}, {"desired": 3}, plan(3, "", note))
    assert news is not None
    assert (news.reason, news.text) == ("TargetWait", "1 -> 3 workers: 14 waiting")
    assert scale_news(SUBJECT, {"desired": 3}, {"desired": 3}, plan(3)) is None


def test_trouble_is_news_and_the_first_good_word_is_not() -> None:
    calm = pool_status(facts(), {})
    assert list(condition_news(SUBJECT, {}, calm)) == []
    contested = facts(seen=PoolObservation(3, 3, contested=True), contested_by="hpa")
    [news] = condition_news(SUBJECT, calm, pool_status(contested, calm))
    assert (news.reason, news.type) == ("ForeignManager", "Warning")


def budget(**changes: Any) -> BudgetFacts:
    limits = [
        {"name": "day", "period": "Day", "amount": "5.00", "timeZone": "Europe/Berlin"},
        {"name": "all", "period": "Total", "amount": "100"},
    ]
    spec = TenantBudgetSpec.model_validate({"tenant": "acme", "limits": limits})
    day, total = all_windows(spec, NOW)
    balances = [Balance(day, 4_000_000_000, 500_000_000, 0), Balance(total, 4_000_000_000, 0, 0)]
    known = BudgetFacts(1, spec, ACCEPTED, "", balances, 0, None, NOW)
    return replace(known, **changes)


def test_a_budget_shows_its_tightest_limit() -> None:
    status = budget_status(budget(), {})
    assert (status["spent"], status["held"], status["limit"]) == ("$4.00", "$0.50", "$5.00/day")
    assert status["resets"] == "00:00 Europe/Berlin"
    assert status["limits"][0]["resetsAt"] == "2026-11-24T23:00:00Z"
    assert "resetsAt" not in status["limits"][1]
    assert TenantBudgetStatus.model_validate(status).phase == "Normal"
    known = {field.alias or name for name, field in TenantBudgetStatus.model_fields.items()}
    assert set(status) <= known


@pytest.mark.parametrize(
    ("changes", "phase", "exhausted"),
    [
        ({"waiting": 3}, "Exhausted", "True"),
        ({"pause": Pause(FLEET, by_hand=True)}, "Paused", "False"),
        ({"balances": None}, "Unknown", "Unknown"),
        ({"balances": None, "verdict": None}, None, "Unknown"),
    ],
)
def test_a_budgets_phase(changes: Any, phase: str | None, exhausted: str) -> None:
    status = budget_status(budget(**changes), {})
    assert status.get("phase") == phase
    assert condition(status, "Exhausted")[0] == exhausted


def worker(name: str, *, draining: bool = False, held: int = 0) -> WorkerState:
    return WorkerState(name, "r1", ready=True, draining=draining, held=held)


@pytest.mark.parametrize(
    ("seconds", "deployments", "workers", "expected"),
    [
        (0, 1, [worker("a")], DrainStep(drain=("a",))),
        (0, 1, [worker("a", draining=True, held=2)], DrainStep()),
        (0, 1, [worker("a", draining=True)], DrainStep(remove_deployments=True)),
        (0, 1, None, DrainStep()),
        (0, 0, [], DrainStep(release=True)),
        (70, 1, [worker("a", draining=True, held=2)], DrainStep(remove_deployments=True, release=True)),
        (70, 1, None, DrainStep(remove_deployments=True, release=True)),
    ],
    ids=[
        "told first",
        "waits",
        "goes when idle",
        "waits while unknown",
        "nothing left",
        "deadline",
        "deadline, unknown",
    ],
)
def test_a_deleted_pool_drains(
    seconds: float, deployments: int, workers: list[WorkerState] | None, expected: DrainStep
) -> None:
    gone = DeletedPool(NOW + timedelta(seconds=seconds), NOW, 60, deployments, workers)
    assert replace(drain_step(gone), text="") == expected
