"""PURE. What the planner carries from one plan of a pool to the next: the replay, and how promises were kept.

A plan hands it back as `PoolPlan.memory`; the next snapshot brings it. It is opaque to everyone else and may
be lost (an operator restarts): then the planner learns anew.
"""

import math
from dataclasses import dataclass, replace
from itertools import takewhile

from agentfleet_core.planner.choice import cheapest
from agentfleet_core.planner.replay import Moment, Replay, fresh_replay, skip, step
from agentfleet_core.planner.snapshot import Bucket, PoolSnapshot
from agentfleet_core.planner.staffing import slots_at_hand
from agentfleet_core.queue.depth import claimable, running

BUDGET_SECONDS = 3_600.0
"""How long a late start weighs in the error budget: its weight fades with it."""
ALLOWED_SHARE = 0.85
"""The part of the late starts allowed that is aimed for: a promise is kept from the safe side."""
LEAST_SHARE, PAID_BACK = 0.5, 0.5
"""Never less than this part of them is aimed for; of what is overdrawn, this part is paid back at a time."""
MOST_BIAS, UNBIASED_TASKS = 4.0, 20.0
"""How far the replay's late starts are corrected, and how many speak against a correction."""
PRIOR_TASKS = 4.0
"""Running tasks that end as the mean service time says, beside those that were seen."""
LONGEST_SERVICE_STEPS = 32


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """Who really started late, from sums of arrivals and starts: the n-th start is the n-th arrival's."""

    arrived: tuple[float, ...] = (0.0,)
    """Sums of arrivals at the end of the last steps, oldest first, for as long as the target wait."""
    started: float = 0.0
    due: float = 0.0
    """Arrivals of which it is known whether they started in time."""
    judged: float = 0.0
    late: float = 0.0
    foreseen: float = 0.0
    """Late starts that the replay counts for the numbers that were kept; these three fade."""

    @property
    def bias(self) -> float:
        """Real late starts for each that the replay counts."""
        bias = (self.late + UNBIASED_TASKS) / (self.foreseen + UNBIASED_TASKS)
        return min(MOST_BIAS, max(1 / MOST_BIAS, bias))


@dataclass(frozen=True, slots=True)
class Memory:
    replay: Replay
    record: ServiceRecord
    until_seconds: float
    """The history has been taken in up to here."""
    promise: float
    kept: int = 0
    """The index of the number of workers to keep."""


def remember(pool: PoolSnapshot, service_seconds: float) -> Memory:
    """The memory with all closed buckets of the history taken in."""
    memory = pool.memory if isinstance(pool.memory, Memory) else None
    if memory is None or not _fits(memory, pool, service_seconds):
        memory = _fresh(pool, service_seconds)
    grain, since = memory.replay.grain, memory.until_seconds
    new = list(takewhile(lambda bucket: bucket.start_seconds >= since, reversed(pool.history)))[::-1]
    closed = [each for each in new if each.start_seconds + each.width_seconds <= pool.now_seconds]
    if not closed:
        return memory
    missed = int((closed[0].start_seconds - since) // grain)
    if missed > 0:
        end = since + missed * grain
        memory = replace(memory, replay=skip(memory.replay, missed, end), until_seconds=end)
    busy = max(0, running(pool) - _risen(new))
    while closed and closed[-1].start_seconds + closed[-1].width_seconds >= memory.until_seconds + grain:
        taken = [bucket for bucket in closed if bucket.start_seconds < memory.until_seconds + grain]
        closed = closed[len(taken) :]
        memory = _take(memory, taken, busy, pool, service_seconds)
        busy = max(0, busy + _risen(taken))
    return replace(memory, kept=_choose(memory))


def _take(memory: Memory, buckets: list[Bucket], busy: int, pool: PoolSnapshot, service: float) -> Memory:
    """One step more; `busy` tasks ran at its start."""
    replay, record = memory.replay, memory.record
    end = memory.until_seconds + replay.grain
    arrivals = sum(bucket.arrivals for bucket in buckets)
    ended = sum(bucket.ended for bucket in buckets)
    mean_busy = busy + max(-busy, _risen(buckets)) / 2
    target = replay.target_seconds
    sums = (*record.arrived, record.arrived[-1] + arrivals)[-max(1, math.ceil(target / replay.grain)) - 2 :]
    started = record.started + sum(bucket.started for bucket in buckets)
    # A step's arrivals came in the middle of it, so half a step's worth falls due between two steps.
    due = max(record.due, _between(sums, target / replay.grain - 0.5))
    seen = Moment(
        end_seconds=end,
        arrivals=arrivals,
        due=due,
        before=record.due,
        ending=(ended + PRIOR_TASKS * replay.grain / service) / (mean_busy + PRIOR_TASKS),
        workers_needed=_workers_needed(pool, service),
        service_seconds=service,
        start_seconds=pool.start_seconds,
        stabilization_seconds=pool.spec.scaling.stabilization_seconds,
    )
    replayed = step(replay, seen)
    fade = math.exp(-replay.grain / BUDGET_SECONDS)
    foreseen = max(0.0, due - max(replayed.started[memory.kept], record.due))
    record = ServiceRecord(
        sums,
        started,
        due,
        judged=record.judged * fade + due - record.due,
        late=record.late * fade + max(0.0, due - max(started, record.due)),
        foreseen=record.foreseen * fade + foreseen,
    )
    return replace(memory, replay=replayed, record=record, until_seconds=end)


def _choose(memory: Memory) -> int:
    """The number to keep, in late starts of the replay: what the promise allows, and what is left or owed."""
    replay, record = memory.replay, memory.record
    share = ALLOWED_SHARE * (1 - memory.promise)
    usual = share * replay.judged
    left = share * record.judged - record.late
    return cheapest(
        replay.late,
        replay.cost,
        allowed=(usual + max(0.0, left)) / record.bias + 1e-6,
        owed=max(LEAST_SHARE * usual, usual + PAID_BACK * left) / record.bias + 1e-6,
    )


def _workers_needed(pool: PoolSnapshot, service: float) -> int:
    target = pool.spec.scaling.target_wait_seconds
    slots = slots_at_hand(claimable(pool), running(pool), service, target)
    return math.ceil(round(slots / pool.spec.concurrency, 6))


def _risen(buckets: list[Bucket]) -> int:
    """How many more tasks run at their end than at their start."""
    return sum(bucket.started - bucket.ended for bucket in buckets)


def _between(sums: tuple[float, ...], steps_back: float) -> float:
    whole = math.floor(steps_back)
    newer = sums[max(0, len(sums) - 1 - max(0, whole))]
    older = sums[max(0, len(sums) - 2 - max(0, whole))]
    return newer + (older - newer) * (steps_back - whole) if steps_back >= 0 else sums[-1]


def _fits(memory: Memory, pool: PoolSnapshot, service_seconds: float) -> bool:
    """Whether the replay still speaks of this pool: its bounds, its target, its kind of task."""
    replay, scaling = memory.replay, pool.spec.scaling
    return (
        replay.concurrency == pool.spec.concurrency
        and replay.target_seconds == scaling.target_wait_seconds
        and replay.keeps[-1] == scaling.max_replicas
        and service_seconds / replay.grain <= LONGEST_SERVICE_STEPS
        and memory.promise == scaling.target_percent / 100
    )


def _fresh(pool: PoolSnapshot, service_seconds: float) -> Memory:
    scaling = pool.spec.scaling
    replay = fresh_replay(
        most_workers=scaling.max_replicas,
        concurrency=pool.spec.concurrency,
        target_seconds=scaling.target_wait_seconds,
        service_seconds=service_seconds,
    )
    start = pool.history[0].start_seconds if pool.history else pool.now_seconds
    return Memory(replay, ServiceRecord(), start, scaling.target_percent / 100)
