"""What `watch` and the demo show, as golden text at 80 columns (`--update-golden` writes it anew)."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentfleet.models import Result, Step, TaskEvent, TaskInfo
from agentfleet_cli.demo.plain import PlainStory
from agentfleet_cli.views.fleet import Frame, Phases, screen
from agentfleet_cli.views.progress import delay_line, long_wait_line, progress_line
from agentfleet_cli.views.report import Sitting, report_json, report_lines
from agentfleet_cli.views.tasks import task_lines, task_table
from agentfleet_core.api.v1alpha1.model_tier import Price
from agentfleet_core.budget.usage import Usage

SCREENS = Path(__file__).parent / "screens"
START = datetime(2026, 11, 24, 14, 0, 0, tzinfo=UTC)


Check = Callable[[str, list[str]], None]


@pytest.fixture
def check(request: pytest.FixtureRequest) -> Check:
    def compare(name: str, lines: list[str]) -> None:
        path = SCREENS / f"{name}.txt"
        text = "\n".join(lines) + "\n"
        if request.config.getoption("--update-golden"):
            path.write_text(text)
        assert text == path.read_text()

    return compare


def clock(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def pool(name: str, **changes: Any) -> dict[str, Any]:
    counters = {
        "waiting": 4,
        "blocked": 0,
        "running": 11,
        "parked": 0,
        "due": 0,
        "orphaned": 0,
        "oldest_wait_seconds": 0.7,
        "next_due_at": None,
        "admitted_total": 40,
        "started_total": 36,
        "ended_total": 25,
        "blocked_tenants": {},
    } | changes.pop("counters", {})
    plan = {
        "replicas": 3,
        "wanted": 3,
        "ready": 3,
        "limited_by": "",
        "spend_per_hour_nano_usd": 2_410_000_000,
        "notes": [{"reason": "TargetWait", "replicas": 3, "text": "so 95 % start within 2 s"}],
        "not_counted": [],
    } | changes.pop("plan", {})
    shown = {"name": name, "lane": "Interactive", "paused": None, "workers": plan["ready"], "max_replicas": 6}
    return {**shown, "counters": counters, "plan": plan} | changes


def tenant(name: str, spent: int, held: int, amount: int, **changes: Any) -> dict[str, Any]:
    limit = {
        "name": "day",
        "period": "Day",
        "time_zone": "UTC",
        "amount_usd": f"{amount / 1e9:.9f}",
        "amount_nano_usd": amount,
        "spent_nano_usd": spent,
        "held_nano_usd": held,
        "remaining_nano_usd": amount - spent - held,
        "resets_at": "2026-11-25T00:00:00.000+00:00",
    }
    shown = {
        "tenant": name, "budget": name, "phase": "Normal", "sentence": "every limit has room",
        "paused": None, "tightest": "day", "waiting_for_budget": {},
    }  # fmt: skip
    return {**shown, "limits": [limit]} | changes


def event(seconds: float, name: str, before: int, after: int, reason: str) -> dict[str, Any]:
    return {"at": clock(seconds), "pool": name, "from": before, "to": after, "reason": reason, "text": "…"}


BUSY: dict[str, Any] = {
    "fleet": {"install": "local", "namespace": "default", "config_version": 1},
    "at": clock(31),
    "pools": [
        pool(
            "batch",
            lane="Batch",
            counters={"waiting": 57, "running": 4, "oldest_wait_seconds": 12.9, "ended_total": 3},
            plan={
                "replicas": 1,
                "wanted": 1,
                "ready": 1,
                "limited_by": "SpendPerHour",
                "spend_per_hour_nano_usd": 6_200_000_000,
                "notes": [
                    {"reason": "TargetWait", "replicas": 5, "text": "…"},
                    {"reason": "SpendPerHour", "replicas": 1, "text": "…"},
                ],
            },
        ),
        pool("interactive"),
    ],
    "tenants": [
        tenant("acme", 182_000_000, 31_000_000, 5_000_000_000),
        tenant(
            "globex",
            48_000_000,
            0,
            50_000_000,
            phase="Exhausted",
            waiting_for_budget={"interactive": 23},
            sentence="23 tasks wait until 00:00 UTC",
        ),
    ],
    "switches": [],
    "events": [event(2, "interactive", 0, 1, "FirstTask"), event(29, "interactive", 2, 3, "TargetWait")],
}
EMPTY: dict[str, Any] = BUSY | {
    "pools": [
        pool(
            "a-pool-with-quite-a-long-name",
            counters={"waiting": 0, "running": 0, "ended_total": 0},
            plan={"replicas": 0, "wanted": 0, "ready": 0, "spend_per_hour_nano_usd": 0, "notes": []},
        ),
        pool("new") | {"plan": None, "workers": 0},
    ],
    "tenants": [tenant("initech", 0, 0, 120_000_000_000), {**tenant("unbounded", 0, 0, 1), "limits": []}],
    "events": [],
}
PAUSED: dict[str, Any] = BUSY | {
    "pools": [pool("interactive", paused="fleet")],
    "tenants": [tenant("acme", 182_000_000, 0, 5_000_000_000, phase="Paused", paused="fleet")],
    "switches": [{"target": "fleet", "by": "admin", "at": clock(30)}],
}


@pytest.mark.parametrize(
    ("name", "fleet", "frame"),
    [
        ("busy", BUSY, Frame("local fleet · simulated provider", START)),
        ("busy_low_terminal", BUSY, Frame("local fleet · simulated provider", START, height=9)),
        ("empty", EMPTY, Frame("local fleet · simulated provider", START, note="waiting for customers")),
        ("paused", PAUSED, Frame("local fleet · simulated provider", START)),
    ],
)
def test_the_screen(check: Check, name: str, fleet: dict[str, Any], frame: Frame) -> None:
    lines = screen(fleet, frame)
    check(name, lines)
    assert max(len(line) for line in lines) <= frame.width
    assert len(lines) <= frame.height


def test_the_screen_tells_when_a_tenant_has_spent_its_budget(check: Check) -> None:
    phases = Phases()
    rich = [dict(each, phase="Normal", reason="WithinLimits") for each in BUSY["tenants"]]
    poor = [dict(each, reason="LimitReached") for each in BUSY["tenants"]]
    assert phases.see(BUSY | {"at": clock(20), "tenants": rich}) == ()
    phases.see(BUSY | {"at": clock(24), "tenants": poor})
    seen = phases.see(BUSY)
    check("exhausted", screen(BUSY, Frame("local fleet · simulated provider", START, phases=seen)))


def test_without_a_terminal_only_news_is_said(check: Check) -> None:
    said: list[str] = []
    story = PlainStory(said.append)
    story.show(EMPTY | {"at": clock(0)}, START, "")
    story.show(BUSY, START, "")
    story.show(BUSY | {"at": clock(32)}, START, "")
    check("plain", said)


def task(number: int, **changes: Any) -> TaskInfo:
    made: dict[str, Any] = {
        "id": f"interactive.{number}",
        "type": "refund-request",
        "tenant": "acme",
        "pool": "interactive",
        "tier": "capable",
        "state": "succeeded",
        "reason": "",
        "attempt": 1,
        "failures": 0,
        "priority": 50,
        "labels": {},
        "submitted_at": START,
        "started_at": START + timedelta(seconds=number / 4),
        "ended_at": None,
        "not_before": None,
        "cost": Decimal("0.0021"),
        "cost_nano_usd": 2_100_000,
        "limitations": (),
        "error": None,
    }
    return TaskInfo(**(made | changes))


def price(*bands: tuple[str, str]) -> Price:
    """Input and output of each band, the last one without a bound."""
    made = [
        {"input": input_, "output": output, "cacheRead": "0.20", "cacheWrite5m": "2.50", "cacheWrite1h": "4"}
        for input_, output in bands
    ]
    made[0] |= {"maxPromptTokens": 200_000} if len(made) > 1 else {}
    return Price.model_validate({"effectiveFrom": "2026-01-01", "bands": made})


SITTING = Sitting(
    tasks=[
        *(task(number) for number in range(1, 9)),
        task(
            9,
            tenant="globex",
            type="complaint-report",
            pool="batch",
            state="failed",
            cost_nano_usd=31_000_000,
        ),
        task(10, tenant="globex", state="queued", started_at=None, cost_nano_usd=0),
    ],
    cost_by_tier={"capable": 16_800_000, "powerful": 31_000_000},
    usage_by_tier={
        "capable": Usage(input=3_296, output=768, cache_read=9_600),
        "powerful": Usage(input=1_200, output=940),
    },
    price_by_tier={
        "capable": price(("2.00", "10.00"), ("4.00", "15.00")),
        "powerful": price(("5.00", "25.00")),
    },
    fleet=BUSY,
    since=START,
    seconds=48.2,
    bill_nano_usd=47_800_000,
)


def test_the_report(check: Check) -> None:
    lines = report_lines(SITTING)
    check("report", lines)
    assert max(len(line) for line in lines) <= 80


def test_the_report_for_programs(check: Check) -> None:
    check("report_json", json.dumps(report_json(SITTING), indent=1, sort_keys=True).splitlines())


USAGE = {"input_tokens": 412, "output_tokens": 96, "cache_read_input_tokens": 1_200}


def test_at_80_columns_a_task_list_keeps_whole_ids_and_reasons(check: Check) -> None:
    waiting = task(
        1,
        id="interactive.01kavqz8s3h6x2m4n7p9q1r5t8",
        type="complaint-report-in-full",
        state="parked",
        reason="BudgetExhausted: a call that may cost $0.017 does not fit; $0.012 is left for day",
    )
    lines = task_table([waiting, task(2)], START + timedelta(minutes=3), 80)
    check("task_list_narrow", lines)
    assert max(len(line) for line in lines) <= 80


def test_one_task_in_full(check: Check) -> None:
    ended = task(
        3,
        ended_at=START + timedelta(seconds=9),
        limitations=("step tone was skipped: it timed out",),
        error={"title": "Handler failed", "detail": "the shop's server is away"},
        state="partial",
        reason="TaskTimeout",
    )
    steps = (
        Step("turn-1", "llm", {}, Decimal("0.000372"), "capable", "claude-sonnet-5-5", START, START, USAGE),
        Step("lookup_order", "tool", {}, Decimal(0), None, None, START, START),
        Step("refund", "tool", {}, Decimal(0), None, None, START, START, error="KeyError: 'A-1001'"),
    )
    result = Result(
        ended.id, "partial", {"reply": "…"}, None, ended.limitations, ended.cost, 2_100_000, steps
    )
    check("task", task_lines(ended, result))
    check(
        "task_list",
        task_table([ended, task(4, state="queued", started_at=None)], START + timedelta(minutes=3)),
    )


def test_whoever_waits_for_a_task_sees_what_happens(check: Check) -> None:
    events = [
        TaskEvent("1", "queued", 0, {}),
        TaskEvent("2", "started", 1, {}),
        TaskEvent("3", "step", 1, {"kind": "llm", "name": "turn-1", "cost_nano_usd": 372_000}),
        TaskEvent("4", "step", 1, {"kind": "tool", "name": "lookup_order", "cost_nano_usd": 0}),
        TaskEvent("5", "delta", 1, {"text": "I am"}),
        TaskEvent("5", "reset", 1, {"step": "turn-2"}),
        TaskEvent("7", "step", 1, {"kind": "tool", "name": "refund", "error": "KeyError: 'A-1001'"}),
        TaskEvent("6", "reset", 2, {}),
    ]
    parked = task(
        5, state="parked", reason="BudgetExhausted: no room", not_before=START + timedelta(hours=10)
    )
    hint = long_wait_line(parked, START)
    assert hint is not None
    assert long_wait_line(parked, START + timedelta(hours=10, seconds=-30)) is None
    lines = [*filter(None, map(progress_line, events)), delay_line(parked), hint, delay_line(task(6))]
    check("progress", lines)
