"""PURE. What a snapshot says about a pool's work and money, in the words of the rules."""

from itertools import takewhile

from agentfleet_core.budget.money import nano_usd
from agentfleet_core.planner.snapshot import PoolSnapshot

SPEND_WINDOW_SECONDS = 60.0
"""Spend and busy time are means over the history, and over so long at least: one early call is no trend."""


def is_due_soon(pool: PoolSnapshot) -> bool:
    """A parked task will be claimable by the time a worker asked for now is ready."""
    return pool.next_due_in_seconds is not None and pool.next_due_in_seconds <= pool.start_seconds


def busy_workers(pool: PoolSnapshot) -> float:
    """How many workers' slots were full on average over the history; what was spent was spent by these."""
    width = max(SPEND_WINDOW_SECONDS, sum(bucket.width_seconds for bucket in pool.history))
    return sum(bucket.busy_seconds for bucket in pool.history) / width / pool.spec.concurrency


def max_spend(pool: PoolSnapshot) -> int | None:
    """maxSpendPerHour in nano-USD."""
    limit = pool.spec.scaling.max_spend_per_hour
    return None if limit is None else nano_usd(limit)


def arrivals(pool: PoolSnapshot, window_seconds: float) -> tuple[int, float]:
    """How many tasks came in the newest `window_seconds` of the history, and how much of them is known."""
    since = pool.now_seconds - window_seconds
    recent = list(takewhile(lambda bucket: bucket.start_seconds >= since, reversed(pool.history)))
    return sum(bucket.arrivals for bucket in recent), sum(bucket.width_seconds for bucket in recent)
