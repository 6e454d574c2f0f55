"""PURE. A task as JSON: the one list of what it shows, for the API and whoever reads it there.

Times are ISO 8601 UTC, money is exact. A field may be added here, never renamed: clients outlive releases.
"""

from datetime import UTC, datetime
from typing import Any

import orjson

from agentfleet_core.budget.money import decimal_usd
from agentfleet_core.queue.envelope import TaskRecord

Json = dict[str, Any]


def task_json(record: TaskRecord) -> Json:
    envelope = record.envelope
    return {
        "id": envelope.id,
        "type": envelope.type,
        "tenant": envelope.tenant,
        "pool": envelope.pool,
        "tier": envelope.tier,
        "state": record.state.value,
        "reason": record.reason,
        "attempt": record.attempt,
        "failures": record.failures,
        "priority": envelope.priority,
        "labels": envelope.labels,
        "submitted_at": instant(record.admitted_ms),
        "started_at": instant(record.started_ms),
        "ended_at": instant(record.ended_ms),
        "not_before": None if record.state.ended else instant(record.not_before_ms),
        **money("cost", record.cost),
        "limitations": list(record.limitations),
        "error": content(record.error),
    }


def money(name: str, nano: int) -> Json:
    return {f"{name}_usd": decimal_usd(nano), f"{name}_nano_usd": nano}


def instant(milliseconds: int) -> str | None:
    """None for 0, which stands for never."""
    if not milliseconds:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def content(kept: bytes) -> Any:
    """What was kept as JSON; None for nothing."""
    if not kept:
        return None
    try:
        return orjson.loads(kept)
    except orjson.JSONDecodeError:
        return kept.decode(errors="replace")
