"""Snapshots for the planner's tests: a pool with everything said by keyword."""

from typing import Any

from agentfleet_core.api.v1alpha1 import AgentPoolSpec
from agentfleet_core.planner.snapshot import Bucket, PoolSnapshot, WorkerView

NOW = 10_000.0


def pool(
    *, scaling: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **seen: Any
) -> PoolSnapshot:
    """Four at once per worker, up to ten workers, five seconds of target wait."""
    bounds = {"maxReplicas": 10, "targetWaitSeconds": 5, **(scaling or {})}
    whole = AgentPoolSpec.model_validate({"concurrency": 4, "scaling": bounds, **(spec or {})})
    return PoolSnapshot(name="chat", spec=whole, now_seconds=NOW, **seen)


def steady(rate: int, *, service: float = 2.0, seconds: int = 120, spent: int = 0) -> tuple[Bucket, ...]:
    """`rate` arrivals, starts and ends in each of the last seconds."""
    return tuple(
        Bucket(NOW - seconds + second, 1.0, rate, rate, rate, rate * service, spent)
        for second in range(seconds)
    )


def worker(
    name: str, *, held: int = 0, ready: bool = True, draining: bool = False, idle: float | None = None
) -> WorkerView:
    return WorkerView(name, "r1", ready, draining, held, idle)
