"""PURE. From a pool's growing counters to its recent past: arrivals, service time, spend, by second.

An arrival is a task that became claimable: admitted, due again, or taken from a dead worker. Nothing counts
them; they follow from what was claimed and from what can be claimed now.
"""

from dataclasses import dataclass, replace

from agentfleet_core.planner.snapshot import Bucket
from agentfleet_core.planner.work import SPEND_WINDOW_SECONDS
from agentfleet_core.queue.depth import claimable, has_work
from agentfleet_core.queue.envelope import PoolCounters

WIDTH_SECONDS = 1.0
KEPT_BUCKETS = 300
SHORTEST_SERVICE_SECONDS = 0.001
"""Redis counts milliseconds: what took less counts as none, and no service time is zero."""
SERVICE_TASKS = 200.0
"""The service time is a mean in which a task's weight halves with each so many that ended after it."""


@dataclass(frozen=True, slots=True)
class PoolHistory:
    last: PoolCounters | None = None
    buckets: tuple[Bucket, ...] = ()
    """Oldest first, without gaps, the newest still open."""
    busy_seconds: float = 0.0
    ended: float = 0.0
    idle_since_seconds: float | None = None

    @property
    def service_seconds(self) -> float | None:
        if not self.ended:
            return None
        return max(SHORTEST_SERVICE_SECONDS, self.busy_seconds / self.ended)

    @property
    def spend_per_hour(self) -> int:
        """Nano-USD, over the kept buckets; over a minute at least, so that one early call is no trend."""
        if not self.buckets:
            return 0
        seconds = max(SPEND_WINDOW_SECONDS, len(self.buckets) * WIDTH_SECONDS)
        return round(sum(bucket.spent for bucket in self.buckets) * 3_600 / seconds)


def observe(history: PoolHistory, now: PoolCounters) -> PoolHistory:
    """The history with one more reading. Counters that fell (a flushed Redis) start it anew."""
    last = history.last
    busy = has_work(now)
    seconds = now.now_ms / 1_000
    idle_since = None if busy else seconds if last is None or has_work(last) else history.idle_since_seconds
    if last is None or _reset(last, now):
        first = Bucket(_grid(seconds), WIDTH_SECONDS, claimable(now), 0, 0, 0.0, 0)
        return PoolHistory(last=now, buckets=(first,), idle_since_seconds=idle_since)
    started = now.started_total - last.started_total
    ended = now.ended_total - last.ended_total
    delta = Bucket(
        start_seconds=_grid(seconds),
        width_seconds=WIDTH_SECONDS,
        arrivals=max(0, started + claimable(now) - claimable(last)),
        started=started,
        ended=ended,
        busy_seconds=(now.busy_ms_total - last.busy_ms_total) / 1_000,
        spent=now.spent_total - last.spent_total,
    )
    keep = 0.5 ** (ended / SERVICE_TASKS)
    return replace(
        history,
        last=now,
        buckets=_append(history.buckets, delta),
        busy_seconds=history.busy_seconds * keep + delta.busy_seconds,
        ended=history.ended * keep + ended,
        idle_since_seconds=idle_since,
    )


def _reset(last: PoolCounters, now: PoolCounters) -> bool:
    return now.started_total < last.started_total or now.ended_total < last.ended_total


def _grid(seconds: float) -> float:
    return seconds // WIDTH_SECONDS * WIDTH_SECONDS


def _append(buckets: tuple[Bucket, ...], delta: Bucket) -> tuple[Bucket, ...]:
    newest = buckets[-1]
    if not any(map(_eventful, (delta, *buckets))):
        return (delta,)
    if delta.start_seconds <= newest.start_seconds:
        return (*buckets[:-1], _sum(newest, delta))
    missing = round((delta.start_seconds - newest.start_seconds) / WIDTH_SECONDS) - 1
    gap = tuple(
        Bucket(delta.start_seconds - steps * WIDTH_SECONDS, WIDTH_SECONDS, 0, 0, 0, 0.0, 0)
        for steps in range(min(missing, KEPT_BUCKETS), 0, -1)
    )
    return (*buckets, *gap, delta)[-KEPT_BUCKETS:]


def _eventful(bucket: Bucket) -> bool:
    """An idle pool keeps one empty bucket, not one for each silent second."""
    return bool(bucket.arrivals or bucket.started or bucket.ended or bucket.spent)


def _sum(one: Bucket, other: Bucket) -> Bucket:
    return replace(
        one,
        arrivals=one.arrivals + other.arrivals,
        started=one.started + other.started,
        ended=one.ended + other.ended,
        busy_seconds=one.busy_seconds + other.busy_seconds,
        spent=one.spent + other.spent,
    )
