"""PURE. The rules that turn what the promise needs into what is asked for. Their order reads as the policy.

Each rule takes the snapshot and the number so far, and leaves a `Note` when it changes or holds that number,
else nothing. A rule never looks at another rule's note. A pinned or contested pool asks no further rule.
"""

import math
from collections.abc import Callable

from agentfleet_core.budget.money import fixed_usd
from agentfleet_core.planner.reasons import Reason
from agentfleet_core.planner.shrink import claiming
from agentfleet_core.planner.snapshot import Note, PoolSnapshot
from agentfleet_core.planner.wording import count, seconds
from agentfleet_core.planner.work import busy_workers, is_due_soon, max_spend
from agentfleet_core.queue.depth import has_work

Rule = Callable[[PoolSnapshot, int], Note | None]


def pinned(pool: PoolSnapshot, number: int) -> Note | None:
    pin = pool.spec.replicas
    if pin is None:
        return None
    return Note(Reason.PINNED, pin, f"spec.replicas is {pin:,}; `agentfleet unpin {pool.name}` removes it")


def contested(pool: PoolSnapshot, number: int) -> Note | None:
    if not pool.contested:
        return None
    return Note(
        Reason.REPLICAS_CONTESTED,
        pool.replicas,
        f"another manager wrote {count(pool.replicas, 'replica')} into the Deployment; its number stands",
    )


def paused(pool: PoolSnapshot, number: int) -> Note | None:
    if not (pool.paused or pool.spec.paused):
        return None
    what = pool.paused_by or f"pool/{pool.name}"
    return Note(Reason.PAUSED, claiming(pool), f"{what} is paused; the number stays until it is resumed")


def due_soon(pool: PoolSnapshot, number: int) -> Note | None:
    if number > 0 or not is_due_soon(pool):
        return None
    due = max(0.0, pool.next_due_in_seconds or 0.0)
    return Note(
        Reason.DUE_SOON,
        1,
        f"a task is due in {seconds(due)}, a worker takes {seconds(pool.start_seconds)} to start",
    )


def max_replicas(pool: PoolSnapshot, number: int) -> Note | None:
    limit = pool.spec.scaling.max_replicas
    return Note(Reason.MAX_REPLICAS, limit, f"maxReplicas is {limit:,}") if number > limit else None


def spend_per_hour(pool: PoolSnapshot, number: int) -> Note | None:
    """A brake, not the hard cap: one worker may always run, so that what is queued is not stuck for ever."""
    limit = max_spend(pool)
    if limit is None or pool.spend_per_hour <= 0 or (busy := busy_workers(pool)) <= 0:
        return None
    each = round(pool.spend_per_hour / busy)
    allowed = max(1, limit // each) if each > 0 else number
    if number <= allowed:
        return None
    return Note(
        Reason.SPEND_PER_HOUR,
        allowed,
        f"maxSpendPerHour is {pool.spec.scaling.max_spend_per_hour}, a busy worker "
        f"spends {fixed_usd(each, grouped=True)}",
    )


def min_replicas(pool: PoolSnapshot, number: int) -> Note | None:
    limit = min(pool.spec.scaling.min_replicas, pool.spec.scaling.max_replicas)
    return Note(Reason.MIN_REPLICAS, limit, f"minReplicas is {limit:,}") if number < limit else None


def idle_to_zero(pool: PoolSnapshot, number: int) -> Note | None:
    """The last worker stays for a while; then all go, whatever the past would keep them for."""
    if pool.spec.scaling.min_replicas > 0:
        return None
    patience = pool.spec.scaling.idle_seconds_to_zero
    idle = 0.0 if pool.idle_since_seconds is None else pool.now_seconds - pool.idle_since_seconds
    if idle >= patience and number > 0 and not has_work(pool) and not is_due_soon(pool):
        text = f"idle for {seconds(idle)}, {seconds(patience)} are allowed (idleSecondsToZero)"
        return Note(Reason.IDLE_TO_ZERO, 0, text)
    if idle >= patience or number > 0 or pool.replicas == 0:
        return None
    return Note(
        Reason.IDLE_TO_ZERO,
        1,
        f"idle for {seconds(idle)}; the last worker stays for {seconds(patience)} (idleSecondsToZero)",
    )


def stabilization(pool: PoolSnapshot, number: int) -> Note | None:
    """Shrink to the highest number that was recommended in the window, never below it."""
    window = pool.spec.scaling.stabilization_seconds
    since = pool.now_seconds - window
    recent = [wanted for at, wanted in pool.recommendations if at > since]
    held = min(max(recent, default=0), claiming(pool), pool.spec.scaling.max_replicas)
    if number >= held:
        return None
    were = "was" if held == 1 else "were"
    return Note(
        Reason.STABILIZATION,
        held,
        f"{held:,} {were} wanted within the last {seconds(window)} (stabilizationSeconds)",
    )


def unknown_data(pool: PoolSnapshot, number: int) -> Note | None:
    if pool.known or number >= claiming(pool):
        return None
    return Note(
        Reason.UNKNOWN_DATA, claiming(pool), "the queue could not be read; nothing shrinks on unknown data"
    )


def rollout_in_progress(pool: PoolSnapshot, number: int) -> Note | None:
    if not pool.rolling_out or number >= claiming(pool):
        return None
    return Note(Reason.ROLLOUT_IN_PROGRESS, claiming(pool), "nothing shrinks while a rollout is under way")


def unready_worker_busy(pool: PoolSnapshot, number: int) -> Note | None:
    if number >= claiming(pool):
        return None
    worker = next((each for each in pool.workers if each.held and not each.ready), None)
    if worker is None:
        return None
    return Note(
        Reason.UNREADY_WORKER_BUSY,
        claiming(pool),
        f"{worker.id} is not ready and holds {count(worker.held, 'task')}; unready pods go first",
    )


OVERRIDES: tuple[Rule, ...] = (contested, pinned, paused)
"""The first that speaks decides the number alone."""

BOUNDS: tuple[Rule, ...] = (due_soon, max_replicas, spend_per_hour, min_replicas, idle_to_zero)
"""From what the promise needs to what is recommended."""

SAFETY: tuple[Rule, ...] = (unknown_data, rollout_in_progress, unready_worker_busy)
"""While one of these speaks nothing shrinks, not even to a pin."""

HOLDS: tuple[Rule, ...] = (stabilization, *SAFETY)
"""From what is recommended to what is asked for: these only hold a number that would fall."""


def follow(rules: tuple[Rule, ...], pool: PoolSnapshot, number: int) -> tuple[int, tuple[Note, ...]]:
    """The number after all rules, and the notes of those that spoke, in order."""
    notes = []
    for rule in rules:
        note = rule(pool, number)
        if note is not None:
            notes.append(note)
            number = note.replicas
    return number, tuple(notes)


def workers_for(pool: PoolSnapshot, slots: float) -> int:
    return math.ceil(round(slots, 6) / pool.spec.concurrency)
