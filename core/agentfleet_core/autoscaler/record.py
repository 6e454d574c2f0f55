"""PURE. A plan as JSON in `keys.plans`: what `why`, `watch` and the API show of a pool."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from agentfleet_core.autoscaler.state import ScaleEvent
from agentfleet_core.planner.explain import explain, told
from agentfleet_core.planner.snapshot import Note, PoolPlan, PoolSnapshot

RATE_WINDOW_SECONDS = 60.0


def encode_plan(pool: PoolSnapshot, plan: PoolPlan, events: Iterable[ScaleEvent]) -> bytes:
    """An object whose `text` is the chain as `why` prints it; `events` are the last changes, newest last.

    Beside them what the dictionary below names: numbers of workers, notes, and the figures of a status.
    """
    body: dict[str, Any] = {
        "pool": plan.pool,
        "at_ms": round(pool.now_seconds * 1_000),
        "known": pool.known,
        "replicas": plan.replicas,
        "wanted": plan.wanted,
        "recommended": plan.recommended,
        "ready": pool.ready,
        "draining": sum(worker.draining for worker in pool.workers),
        "limited_by": plan.limited_by,
        "notes": [_note(note) for note in plan.notes],
        "not_counted": [_note(note) for note in plan.not_counted],
        "events": [asdict(event) for event in events],
        "service_seconds": pool.service_seconds,
        "arrivals_per_minute": arrivals_per_minute(pool),
        "spend_per_hour_nano_usd": pool.spend_per_hour,
        "start_seconds": round(pool.start_seconds, 1),
        "trouble": [asdict(one) for one in pool.trouble],
        "text": "\n".join([explain(plan), *told(pool.trouble)]),
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def arrivals_per_minute(pool: PoolSnapshot) -> float:
    since = pool.now_seconds - RATE_WINDOW_SECONDS
    return float(sum(bucket.arrivals for bucket in pool.history if bucket.start_seconds >= since))


def _note(note: Note) -> dict[str, Any]:
    return {"reason": str(note.reason), "replicas": note.replicas, "text": note.text}
