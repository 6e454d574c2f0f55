"""PURE. The live view: one screen, 80 columns, no colour needed. `watch` and the demo draw the same lines."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agentfleet_cli.output import table
from agentfleet_cli.views.words import (
    dollars,
    duration,
    limit_amount,
    plain_dollars,
    shortened,
    stopwatch,
)
from agentfleet_core.budget.money import fixed_usd

Json = Mapping[str, Any]

NAME_WIDTH = 14
SHOWN_EVENTS = 6
PRICED = ("input", "output", "cache_read", "cache_write_5m")
"""Of a price, what `get tiers` shows as text; JSON has all of it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds the fleet's JSON on the screen."""

    title: str
    """`local fleet · simulated provider`."""
    since: datetime | None = None
    """The story's beginning: times are shown as minutes since; None shows the clock."""
    width: int = 80
    height: int = 24
    note: str = ""
    """A last line, such as what is waited for."""
    phases: Sequence[Json] = ()
    """Events beside the fleet's own: `Phases.events`."""


class Phases:
    """Tenants' phases from look to look: a change is an event like those of the pools."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}
        self._events: deque[Json] = deque(maxlen=SHOWN_EVENTS)

    def see(self, fleet: Json) -> Sequence[Json]:
        """The newest changes so far."""
        for tenant in fleet["tenants"]:
            name, now_is = str(tenant["tenant"]), str(tenant["phase"])
            before = self._last.get(name, now_is)
            if before != now_is:
                change = {"at": fleet["at"], "from": before, "to": now_is, "reason": tenant["reason"]}
                self._events.append({"tenant": name} | change)
            self._last[name] = now_is
        return tuple(self._events)


def screen(fleet: Json, frame: Frame) -> list[str]:
    """`fleet` is the answer of GET /v1/fleet."""
    top = [
        _title(fleet, frame),
        *_paused(fleet),
        *pool_lines(fleet["pools"]),
        *tenant_lines(fleet["tenants"]),
    ]
    room = max(1, min(SHOWN_EVENTS, frame.height - len(top) - 2))
    lines = [*top, *event_lines([*fleet["events"], *frame.phases], frame.since)[:room]]
    if frame.note:
        lines.append(frame.note)
    return [shortened(line, frame.width) for line in lines]


def _title(fleet: Json, frame: Frame) -> str:
    at = datetime.fromisoformat(fleet["at"])
    clock = stopwatch((at - frame.since).total_seconds()) if frame.since else f"{at.astimezone():%H:%M:%S}"
    return f"agentfleet · {frame.title} · {clock}"


def _paused(fleet: Json) -> list[str]:
    targets = [switch["target"] for switch in fleet["switches"]]
    return [f"PAUSED by hand: {', '.join(targets)} (agentfleet resume TARGET)"] if targets else []


def pool_lines(pools: Sequence[Json]) -> list[str]:
    header = ("POOL", "WORKERS", "WAITING", "RUNNING", "DONE", "OLDEST", "$/HOUR", "WHY")
    return table(header, [_pool(pool) for pool in pools], right=frozenset({1, 2, 3, 4, 5, 6}))


def _pool(pool: Json) -> tuple[str, ...]:
    counters, plan = pool["counters"], pool["plan"] or {}
    waiting = counters["waiting"]
    spend = plan.get("spend_per_hour_nano_usd", 0)
    return (
        shortened(pool["name"], NAME_WIDTH),
        f"{plan.get('ready', pool['workers'])} of {pool['max_replicas']}",
        str(waiting),
        str(counters["running"]),
        str(counters["ended_total"]),
        duration(counters["oldest_wait_seconds"]) if waiting else "-",
        fixed_usd(spend, grouped=True) if spend else "-",
        why_word(pool),
    )


def why_word(pool: Json) -> str:
    """The word of the rule that set the number of workers."""
    if pool["paused"]:
        return "Paused"
    plan = pool["plan"]
    if not plan:
        return "-"
    numbers = (plan["replicas"], plan["wanted"])
    named = (
        note["reason"] for number in numbers for note in reversed(plan["notes"]) if note["replicas"] == number
    )
    return str(next(named, plan["limited_by"] or "-"))


def tenant_lines(tenants: Sequence[Json]) -> list[str]:
    if not tenants:
        return []
    return table(("TENANT", "SPENT", "HELD", "LIMIT", "PHASE"), [_tenant(tenant) for tenant in tenants])


def _tenant(tenant: Json) -> tuple[str, ...]:
    limit = tightest(tenant)
    if limit is None:
        return (shortened(tenant["tenant"], NAME_WIDTH), "-", "-", "none", phase(tenant))
    return (
        shortened(tenant["tenant"], NAME_WIDTH),
        dollars(limit["spent_nano_usd"]),
        dollars(limit["held_nano_usd"]),
        limit_amount(limit),
        phase(tenant),
    )


def tightest(tenant: Json) -> Json | None:
    """The limit that matters, as the API names it; None without limits."""
    return next((limit for limit in tenant["limits"] if limit["name"] == tenant["tightest"]), None)


def phase(tenant: Json) -> str:
    """`Normal`, or what holds the tenant back and until when."""
    word = str(tenant["phase"])
    if tenant["paused"]:
        return f"{word} ({tenant['paused']})"
    return word if word == "Normal" else f"{word}: {tenant['sentence']}"


def event_lines(events: Sequence[Json], since: datetime | None) -> list[str]:
    """Newest first."""
    newest = sorted(events, key=lambda event: str(event["at"]), reverse=True)
    return [event_line(event, since) for event in newest]


def event_line(event: Json, since: datetime | None) -> str:
    at = datetime.fromisoformat(event["at"])
    clock = stopwatch(max(0.0, (at - since).total_seconds())) if since else f"{at.astimezone():%H:%M:%S}"
    who = event.get("pool") or event["tenant"]
    return f"{clock}  {who} {event['from']} → {event['to']}  {event['reason']}"


def tier_lines(tiers: Sequence[Json]) -> list[str]:
    """A row per model with today's prices; of those that depend on a prompt's length, all."""
    rows = []
    for tier in tiers:
        for number, price in enumerate(tier["prices"]):
            first = (tier["name"], str(tier["rank"])) if number == 0 else ("", "")
            rows.append((*first, price["model"], *(_of_bands(price, name) for name in PRICED)))
    head = ("TIER", "RANK", "MODEL", *(name.upper().replace("_", " ") for name in PRICED))
    return [*table(head, rows), "prices: USD per million tokens"]


def _of_bands(price: Json, name: str) -> str:
    prices = dict.fromkeys(plain_dollars(band[name]) for band in price.get("bands", ()))
    return " or ".join(prices) or "none yet"
