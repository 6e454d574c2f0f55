"""PURE. How much time a task has left."""

from agentfleet_core.queue.envelope import Claim


def task_seconds_left(claim: Claim, task_seconds: float, *, now_ms: int) -> float:
    """From the first claim, standing still while the task was parked; below 0 when it is over.

    `now_ms` is on Redis's clock, as the claim's times are.
    """
    used_ms = now_ms - claim.started_ms - claim.parked_total_ms
    return task_seconds - used_ms / 1000


def life_seconds_left(claim: Claim, *, now_ms: int) -> float:
    """From admission to `expiresAfterSeconds`, whatever happens in between."""
    return claim.envelope.expires_after_seconds - (now_ms - claim.admitted_ms) / 1000
