"""PURE. What a fleet did in one sitting: outcomes, waits, costs, budgets, scale events; text and JSON."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from math import ceil
from typing import Any

from agentfleet.models import TaskInfo
from agentfleet_cli.output import table
from agentfleet_cli.views.fleet import Json, event_line, phase, tightest
from agentfleet_cli.views.words import dollars, duration, limit_amount, plain_dollars
from agentfleet_core.api.v1alpha1.model_tier import Price
from agentfleet_core.budget.usage import Usage

WIDTH = 80
TOKENS = {
    "input": "in",
    "cache_read": "from cache",
    "cache_write_5m": "into cache for 5 min",
    "cache_write_1h": "into cache for 1 h",
    "output": "out",
}
"""As `Usage` and a price's bands name them, and as people are told."""


@dataclass(frozen=True, slots=True)
class Sitting:
    """Everything that the report is made of."""

    tasks: Sequence[TaskInfo]
    cost_by_tier: Mapping[str, int]
    """Nano-USD of the journaled steps."""
    usage_by_tier: Mapping[str, Usage]
    """The tokens that these steps were charged for."""
    price_by_tier: Mapping[str, Price]
    """Of the model that serves the tier."""
    fleet: Json
    """The last answer of GET /v1/fleet."""
    since: datetime
    seconds: float
    bill_nano_usd: int | None
    """The simulated provider's own bill; None with a real one."""
    note: str = ""
    """What was not waited for."""


def report_lines(sitting: Sitting) -> list[str]:
    return [
        "",
        f"{len(sitting.tasks)} tasks in {duration(sitting.seconds)}: {_outcomes(sitting.tasks)}",
        *([sitting.note] if sitting.note else []),
        "",
        *_wait_lines(sitting),
        "",
        *_cost_lines(sitting),
        "",
        *_budget_lines(sitting),
        "",
        "scale events",
        *(f"  {event_line(event, sitting.since)}" for event in _oldest_first(sitting.fleet["events"])),
    ]


def report_json(sitting: Sitting) -> dict[str, Any]:
    tenants, types = (
        _cost_by(sitting.tasks, lambda task: task.tenant),
        _cost_by(sitting.tasks, lambda task: task.type),
    )
    return {
        "tasks": len(sitting.tasks),
        "seconds": round(sitting.seconds, 1),
        "outcomes": dict(Counter(task.state for task in sitting.tasks)),
        "wait_seconds": {
            pool: {"p50": percentile(found, 50), "p95": percentile(found, 95)}
            for pool, found in waits(sitting.tasks).items()
        },
        "cost_nano_usd": {
            "by_tenant": tenants,
            "by_task_type": types,
            "by_tier": dict(sitting.cost_by_tier),
            "provider_bill": sitting.bill_nano_usd,
        },
        "tokens_by_tier": {tier: asdict(usage) for tier, usage in sitting.usage_by_tier.items()},
        "budgets": [
            {"tenant": tenant["tenant"], "phase": tenant["phase"], "limits": tenant["limits"]}
            for tenant in sitting.fleet["tenants"]
        ],
        "scale_events": _oldest_first(sitting.fleet["events"]),
        "note": sitting.note,
    }


def waits(tasks: Iterable[TaskInfo]) -> dict[str, list[float]]:
    """Pool to the seconds from submit to start of its tasks that started, sorted."""
    found: dict[str, list[float]] = {}
    for task in tasks:
        if task.started_at is not None:
            found.setdefault(task.pool, []).append((task.started_at - task.submitted_at).total_seconds())
    return {pool: sorted(seconds) for pool, seconds in sorted(found.items())}


def percentile(sorted_values: Sequence[float], percent: int) -> float:
    """Nearest rank: the smallest value that so many percent do not exceed."""
    return sorted_values[max(1, ceil(len(sorted_values) * percent / 100)) - 1]


def _outcomes(tasks: Sequence[TaskInfo]) -> str:
    counts = Counter(task.state for task in tasks)
    return ", ".join(f"{count} {state}" for state, count in counts.most_common())


def _wait_lines(sitting: Sitting) -> list[str]:
    rows = [
        (
            pool,
            str(len(found)),
            duration(percentile(found, 50)),
            duration(percentile(found, 95)),
            duration(found[-1]),
        )
        for pool, found in waits(sitting.tasks).items()
    ]
    if not rows:
        return ["no task started"]
    return table(("WAIT FOR START", "TASKS", "P50", "P95", "LONGEST"), rows)


def _cost_lines(sitting: Sitting) -> list[str]:
    """Three short tables side by side would be wider than 80 columns: one under the other, one header."""
    rows = [
        *_cost_rows("tenant", _cost_by(sitting.tasks, lambda task: task.tenant)),
        *_cost_rows("task type", _cost_by(sitting.tasks, lambda task: task.type)),
        *_cost_rows("tier", sitting.cost_by_tier, lambda tier: _use(sitting, tier)),
    ]
    total = sum(task.cost_nano_usd for task in sitting.tasks)
    lines = table(
        ("COST BY", "", "USD", "TOKENS AT USD PER MILLION"),
        [*rows, ("all", "", dollars(total, digits=6), "")],
        right=frozenset({2}),
        width=WIDTH,
    )
    if sitting.bill_nano_usd is not None:
        lines.append(f"the simulated provider's own bill: {dollars(sitting.bill_nano_usd, digits=6)}")
    return lines


def _cost_rows(
    word: str, costs: Mapping[str, int], use: Callable[[str], str] = lambda name: ""
) -> list[tuple[str, ...]]:
    ranked = sorted(costs.items(), key=lambda item: -item[1])
    return [
        (word if index == 0 else "", name, dollars(cost, digits=6), use(name))
        for index, (name, cost) in enumerate(ranked)
    ]


def _use(sitting: Sitting, tier: str) -> str:
    """`12,040 in at $2.00, 911 out at $10.00`; of prices that depend on a prompt's length, all."""
    usage, price = sitting.usage_by_tier.get(tier), sitting.price_by_tier.get(tier)
    if usage is None or price is None:
        return ""
    parts = []
    for name, word in TOKENS.items():
        tokens = getattr(usage, name)
        prices = dict.fromkeys(plain_dollars(getattr(band, name)) for band in price.bands)
        if tokens:
            parts.append(f"{tokens:,} {word} at {' or '.join(prices)}")
    return ", ".join(parts)


def _cost_by(tasks: Iterable[TaskInfo], key: Callable[[TaskInfo], str]) -> dict[str, int]:
    costs: Counter[str] = Counter()
    for task in tasks:
        costs[key(task)] += task.cost_nano_usd
    return dict(costs)


def _budget_lines(sitting: Sitting) -> list[str]:
    rows: list[tuple[str, ...]] = []
    for tenant in sitting.fleet["tenants"]:
        limit = tightest(tenant)
        if limit is None:
            continue
        rows.append(
            (
                tenant["tenant"],
                dollars(limit["spent_nano_usd"], digits=4),
                dollars(limit["held_nano_usd"], digits=4),
                limit_amount(limit),
                phase(tenant),
            )
        )
    return table(("BUDGET", "SPENT", "HELD", "LIMIT", "PHASE"), rows, width=WIDTH)


def _oldest_first(events: Sequence[Json]) -> list[Json]:
    return sorted(events, key=lambda event: str(event["at"]))
