"""PURE. What the API shows beside a task (`queue/task_view.py`): results, events and counters as JSON."""

from collections.abc import Mapping

import orjson

from agentfleet_core.budget.limits import Balance
from agentfleet_core.queue.depth import claimable, held_back, running
from agentfleet_core.queue.envelope import Event, PoolCounters, TaskRecord
from agentfleet_core.queue.step import StepRecord, decode_steps
from agentfleet_core.queue.task_view import Json, content, instant, money


def result(record: TaskRecord, journal: Mapping[str, bytes]) -> Json:
    return {
        "id": record.envelope.id,
        "state": record.state.value,
        "reason": record.reason,
        "not_before": None if record.state.ended else instant(record.not_before_ms),
        "output": content(record.output),
        "error": content(record.error),
        "limitations": list(record.limitations),
        **money("cost", record.cost),
        "steps": [_step(step) for step in steps(journal)],
    }


def event(found: Event) -> bytes:
    """One server-sent event; its data carries the attempt."""
    data = content(found.data)
    told = (data if isinstance(data, dict) else {"value": data}) | {"attempt": found.attempt}
    head = f"id: {found.id}\n" if found.id else ""
    return f"{head}event: {found.type}\ndata: ".encode() + orjson.dumps(told) + b"\n\n"


def counters(found: PoolCounters) -> Json:
    """`waiting`, `running` and `parked` as queue/depth.py defines them for everybody; of these, `due` and
    `orphaned` are among the waiting, `blocked` are among the parked.
    """
    oldest = found.now_ms - found.oldest_waiting_ms if found.oldest_waiting_ms else 0
    return {
        "waiting": claimable(found),
        "running": running(found),
        "parked": held_back(found),
        "blocked": found.blocked,
        "due": found.due,
        "orphaned": found.orphaned,
        "oldest_wait_seconds": round(max(0, oldest) / 1000, 3),
        "next_due_at": instant(found.next_due_ms),
        "admitted_total": found.admitted_total,
        "started_total": found.started_total,
        "ended_total": found.ended_total,
        **money("spent", found.spent_total),
        "blocked_tenants": dict(found.blocked_tenants),
    }


def balance(found: Balance) -> Json:
    return {
        "name": found.limit.name,
        **money("amount", found.limit.amount),
        **money("spent", found.spent),
        **money("held", found.held),
        **money("unconfirmed", found.unconfirmed),
        **money("remaining", found.remaining),
        "resets_at": instant(found.limit.end_ms),
    }


def steps(journal: Mapping[str, bytes]) -> list[StepRecord]:
    """In the order in which they began."""
    return sorted(decode_steps(journal).values(), key=lambda step: (step.started_ms, step.ended_ms))


def _step(step: StepRecord) -> Json:
    return {
        "name": step.name,
        "kind": step.kind.value,
        "result": step.result,
        "tier": step.tier or None,
        "model": step.model or None,
        "usage": step.usage,
        "error": step.failure or None,
        **money("cost", step.cost),
        "started_at": instant(step.started_ms),
        "ended_at": instant(step.ended_ms),
    }
