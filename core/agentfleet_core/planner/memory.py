"""PURE. What the planner carries from one plan of a pool to the next: the replay, and how promises were kept.

A plan hands it back as `PoolPlan.memory`; the next snapshot brings it. It is opaque to everyone else and may
be lost
(an operator restarts): then the planner begins with the promise itself as its aim.
"""

import math
from dataclasses import dataclass, replace
from itertools import takewhile

from agentfleet_core.planner.replay import LONGEST_SERVICE_STEPS, Replay, fresh_replay, skip, step
from agentfleet_core.planner.snapshot import Bucket, PoolSnapshot

GAIN = 4.0
"""How far the aim moves, in log odds, in `RECORD_SECONDS` with twice the late starts that are allowed."""
ALLOWED_SHARE = 0.9
"""The part of the late starts allowed that the aim is steered to: a promise is kept from the safe side."""
RECORD_SECONDS = 900.0
LOWEST_ODDS, HIGHEST_ODDS = -5.0, 9.0
"""Log odds between which the aim stays: 0.7 % and 99.99 %."""


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """Who really started late, from sums of arrivals and starts: the n-th start is the n-th arrival's."""

    arrived: tuple[float, ...] = (0.0,)
    """Sums of arrivals at the end of the last steps, oldest first, for as long as the target wait."""
    started: float = 0.0
    judged: float = 0.0
    """Arrivals of which it is known whether they started in time."""
    rate: float = 0.0
    """Mean judged arrivals in a step."""


@dataclass(frozen=True, slots=True)
class Memory:
    replay: Replay
    record: ServiceRecord
    odds: float
    """Log odds of the share that staffing aims at."""
    until_seconds: float
    """The history has been taken in up to here."""
    promise: float

    @property
    def aim(self) -> float:
        return 1 / (1 + math.exp(-self.odds))


def remember(pool: PoolSnapshot, service_seconds: float) -> Memory:
    """The memory with all closed buckets of the history taken in."""
    memory = pool.memory if isinstance(pool.memory, Memory) else None
    if memory is None or not _fits(memory, pool, service_seconds):
        memory = _fresh(pool, service_seconds)
    grain = memory.replay.grain
    since = memory.until_seconds
    new = list(takewhile(lambda bucket: bucket.start_seconds >= since, reversed(pool.history)))
    buckets = [each for each in reversed(new) if each.start_seconds + each.width_seconds <= pool.now_seconds]
    if not buckets:
        return memory
    missed = int((buckets[0].start_seconds - memory.until_seconds) // grain)
    if missed > 0:
        memory = _pass(memory, missed)
    while buckets and buckets[-1].start_seconds + buckets[-1].width_seconds >= memory.until_seconds + grain:
        end = memory.until_seconds + grain
        taken = [bucket for bucket in buckets if bucket.start_seconds < end]
        buckets = buckets[len(taken) :]
        memory = _take(memory, taken, service_seconds, end)
    return memory


def _take(memory: Memory, buckets: list[Bucket], service_seconds: float, end: float) -> Memory:
    arrivals = sum(bucket.arrivals for bucket in buckets)
    started = sum(bucket.started for bucket in buckets)
    record, judged, late = _judge(memory.record, arrivals, started, memory.replay)
    odds = memory.odds
    if judged > 0 and record.rate > 0:
        allowed = ALLOWED_SHARE * (1 - memory.promise)
        weight = GAIN * memory.replay.grain / (RECORD_SECONDS * (1 - memory.promise) * record.rate)
        odds = min(HIGHEST_ODDS, max(LOWEST_ODDS, odds + weight * (late - allowed * judged)))
    replay = step(memory.replay, arrivals, service_seconds, end)
    return replace(memory, replay=replay, record=record, odds=odds, until_seconds=end)


def _pass(memory: Memory, steps: int) -> Memory:
    """Time in which nothing was seen to happen."""
    end = memory.until_seconds + steps * memory.replay.grain
    return replace(memory, replay=skip(memory.replay, steps, end), until_seconds=end)


def _judge(
    record: ServiceRecord, arrivals: int, started: int, replay: Replay
) -> tuple[ServiceRecord, float, float]:
    """The record one step on, how many arrivals were judged in it, and how many of them start late.

    A step's arrivals came in the middle of it, so half a step's worth falls due between two steps.
    """
    kept = max(1, math.ceil(replay.target_seconds / replay.grain)) + 2
    sums = (*record.arrived, record.arrived[-1] + arrivals)[-kept:]
    started_sum = record.started + started
    back = replay.target_seconds / replay.grain - 0.5
    due = max(record.judged, _between(sums, back))
    late = max(0.0, due - max(started_sum, record.judged))
    judged = due - record.judged
    keep = math.exp(-replay.grain / RECORD_SECONDS)
    rate = record.rate * keep + judged * (1 - keep) if record.rate else judged
    return ServiceRecord(sums, started_sum, due, rate), judged, late


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
        and replay.workers[-1] == scaling.max_replicas
        and service_seconds / replay.grain <= LONGEST_SERVICE_STEPS
        and memory.promise == scaling.target_percent / 100
    )


def _fresh(pool: PoolSnapshot, service_seconds: float) -> Memory:
    scaling = pool.spec.scaling
    promise = scaling.target_percent / 100
    replay = fresh_replay(
        most_workers=scaling.max_replicas,
        concurrency=pool.spec.concurrency,
        target_seconds=scaling.target_wait_seconds,
        service_seconds=service_seconds,
    )
    start = pool.history[0].start_seconds if pool.history else pool.now_seconds
    odds = math.log(promise / (1 - promise))
    return Memory(replay, ServiceRecord(), odds, start, promise)
