"""PURE. Why a task is where it is: one line per fact, for people; the same facts as fields, for programs."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentfleet_coordinator import views
from agentfleet_core.budget.limits import Balance, Waiting
from agentfleet_core.budget.money import exact_usd, usd
from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.providers.registry import usage_in_words
from agentfleet_core.queue.depth import claimable
from agentfleet_core.queue.envelope import Envelope, PoolCounters, TaskRecord, TaskState
from agentfleet_core.queue.step import StepRecord
from agentfleet_core.queue.task_view import Json, content, instant, task_json
from agentfleet_core.routing.reasons import RouteReason

WIDTH = 80
LABEL = 10
STEPS = 20
"""Steps that are listed: those that cost something, and tools that failed."""

Fact = tuple[str, str]
"""What it is about, empty when as the one before; and the sentence."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a queued task has before it in its pool."""

    config: FleetConfig
    counters: PoolCounters
    of_tenant: int
    """Tasks of its tenant that run in the pool."""
    of_type: int
    """Tasks of its type that run in the pool."""
    plan: Json | None
    """The pool's newest, as the autoscaler published it."""


@dataclass(frozen=True, slots=True)
class NoRoom:
    """What a running task waits for: open holds on a limit of its tenant."""

    waiting: Waiting
    balance: Balance


def explain_task(
    record: TaskRecord,
    journal: Mapping[str, bytes],
    paused: str | None,
    ahead: Ahead | None = None,
    no_room: NoRoom | None = None,
) -> Json:
    """`paused` names what is paused that concerns the task; `ahead` is of one that is queued, `no_room` of
    one that runs.
    """
    steps = views.steps(journal)
    waits: list[Fact] = []
    if ahead is not None and not paused:
        waits.append(("waits", waits_for(record.envelope, ahead)))
    if no_room is not None:
        waits.append(("waits", waits_for_room(record.envelope, no_room)))
    facts = [*_standing(record, paused), *waits, *_past(record, steps)]
    lines = [f"{record.envelope.id} is {record.state.value}"]
    for label, text in facts:
        lines += wrapped(f"  {label:<{LABEL}}", text)
    return {
        "task": task_json(record),
        "facts": [{"about": label, "text": text} for label, text in facts],
        "errors": [content(error) for error in record.errors],
        "steps": len(steps),
        "paused": paused,
        "text": "\n".join(lines),
    }


def wrapped(label: str, text: str) -> list[str]:
    """Lines of the text behind its label."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=label, subsequent_indent=" " * len(label), break_long_words=False
    )


def waits_for(envelope: Envelope, ahead: Ahead) -> str:
    """What keeps a queued task from its start: the first of what a claim would meet."""
    pool = envelope.pool
    compiled = ahead.config.pools.get(pool)
    if compiled is None:
        return f"for pool {pool}, which is none of the fleet's now"
    if capped := tenant_capped(ahead.config, pool, envelope.tenant, ahead.of_tenant):
        return capped
    if _reached(ahead.of_type, compiled.spec.bulkhead.max_running_per_task_type):
        runs = f"{envelope.type} has {ahead.of_type:,} running in {pool}, as many as it may"
        return f"{runs} (spec.bulkhead.maxRunningPerTaskType of the pool)"
    wanted, ready = ((ahead.plan or {}).get(key, 0) for key in ("replicas", "ready"))
    if not ready:
        return f"{pool} has no worker ready, and {wanted} wanted (agentfleet why pool/{pool})"
    of = "1 worker" if ready == 1 else f"{ready:,} workers"
    waiting, running = claimable(ahead.counters), ahead.counters.running
    return f"for a free slot: {waiting:,} waiting, {running:,} running, {of} in {pool}"


def tenant_capped(config: FleetConfig, pool: str, tenant: str, running: int) -> str:
    """The cap that the tenant has reached with so many running in the pool; empty when none."""
    budget, compiled = config.tenants.get(tenant), config.pools[pool]
    runs = f"{tenant} has {running:,} running in {pool}, as many as it may"
    if budget is not None and _reached(running, budget.spec.max_running):
        return f"{runs} (spec.maxRunning of TenantBudget {budget.budget})"
    if _reached(running, compiled.spec.bulkhead.max_running_per_tenant):
        return f"{runs} (spec.bulkhead.maxRunningPerTenant of the pool)"
    return ""


def behind_cap(pool: str, waiting: int, running: int, capped: str, waits: Sequence[Waiting]) -> str:
    """Of a tenant's tasks that more workers would not start; `waits` are all its calls without room, also
    some that were stopped a moment ago.
    """
    tasks = {one.hold_id.partition("/")[0] for one in waits if one.hold_id.startswith(f"{pool}.")}
    without_room = min(len(tasks), running)
    wait = "1 task waits" if waiting == 1 else f"{waiting:,} tasks wait"
    stuck = "1 of those waits" if without_room == 1 else f"{without_room:,} of those wait"
    because = f"; {stuck} for room in its budget" if without_room else ""
    return f"{wait} that more workers would not start: {capped}{because}"


def waits_for_room(envelope: Envelope, no_room: NoRoom) -> str:
    waiting, balance = no_room.waiting, no_room.balance
    return (
        f"for room in the {waiting.limit} limit of {envelope.tenant}: of {usd(balance.limit.amount)} "
        f"{usd(balance.spent)} is spent and {usd(balance.held)} is held for calls under way; "
        f"its next call may cost {usd(waiting.amount)}"
    )


def _reached(running: int, most: int | None) -> bool:
    return most is not None and running >= most


def _standing(record: TaskRecord, paused: str | None) -> list[Fact]:
    """Where it goes, and what it waits for."""
    facts = [("route", _route(record.envelope))]
    if paused and not record.state.ended:
        facts.append(
            ("paused", f"{paused} is paused; nothing starts and no paid call is made until it is resumed")
        )
    if record.state is TaskState.PARKED:
        until = instant(record.not_before_ms) or "its tenant may start again"
        facts.append(("parked", f"until {until}: {record.reason or 'no reason given'}"))
    elif record.reason:
        facts.append(("reason", record.reason))
    return facts


def _past(record: TaskRecord, steps: Sequence[StepRecord]) -> list[Fact]:
    """What was tried, what it cost and what is lacking."""
    attempts = f"{record.attempt}, of which {record.failures} failed"
    noun = "step" if len(steps) == 1 else "steps"
    return [
        ("attempts", f"{attempts}; at most {record.envelope.max_attempts} may fail"),
        *(("error", _sentence(error)) for error in record.errors[-3:]),
        ("cost", f"{exact_usd(record.cost)} in {len(steps)} journaled {noun}"),
        *[("", _step(step)) for step in steps if step.cost or step.failure][:STEPS],
        *(("lacks", limitation) for limitation in record.limitations),
    ]


def _route(envelope: Envelope) -> str:
    why = {
        RouteReason.TIER_DEFAULT: f"the default of {envelope.type}",
        RouteReason.TIER_REQUESTED: "as the submit asked",
        RouteReason.TIER_BELOW_LOWEST: f"the lowest that {envelope.type} allows; a cheaper was asked for",
        RouteReason.TIER_ABOVE_HIGHEST: f"the highest that {envelope.type} allows; a dearer was asked for",
        RouteReason.TIER_MISSING: f"the default of {envelope.type}; the one asked for does not exist",
    }
    text = next((text for reason, text in why.items() if reason == envelope.tier_reason), "")
    return f"{envelope.tier}, {text} ({envelope.tier_reason})" if text else envelope.tier


def _step(step: StepRecord) -> str:
    """What it cost and the tokens that it was charged for, or how it failed."""
    if step.failure:
        return f"{step.name} ({step.kind.value}) failed: {step.failure}"
    parts = (step.kind.value, step.tier, step.model, usage_in_words(step.usage))
    return f"{exact_usd(step.cost)} {step.name} ({', '.join(part for part in parts if part)})"


def _sentence(error: bytes) -> str:
    problem: Any = content(error)
    if not isinstance(problem, dict):
        return str(problem)
    return f"{problem.get('title', 'Failed')}: {problem.get('detail', '')}".removesuffix(": ")
