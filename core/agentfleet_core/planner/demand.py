"""PURE. What the promise needs, before any bound: one note, in workers, whose text says from what."""

from agentfleet_core.planner.memory import Memory
from agentfleet_core.planner.policies import workers_for
from agentfleet_core.planner.reasons import Reason
from agentfleet_core.planner.replay import kept_now
from agentfleet_core.planner.snapshot import Note, PoolSnapshot
from agentfleet_core.planner.staffing import slots_at_hand, slots_for_rate
from agentfleet_core.planner.wording import count, per_minute, percent, seconds
from agentfleet_core.planner.work import arrivals
from agentfleet_core.queue.depth import claimable, has_work, running

RATE_WINDOW_SECONDS = 60.0
FEW_ARRIVALS = 10
"""Fewer arrivals are told as they are: a rate made of them would claim to know the rest of the minute."""
STEADY_SHARE = 0.9
"""At most this is what the rate alone is staffed for; how many more the promise needs, the replay says."""


def demand(pool: PoolSnapshot, memory: Memory | None) -> Note:
    """`memory` is None as long as no service time is known."""
    service = pool.service_seconds
    note = _backlog(pool) if memory is None or service is None else _promise(pool, service, memory)
    if note.replicas == 0:
        return Note(Reason.NO_WORK, 0, "no task waits or runs, and none is expected")
    if pool.replicas == 0 and has_work(pool):
        return Note(Reason.FIRST_TASK, note.replicas, note.text)
    return note


def _backlog(pool: PoolSnapshot) -> Note:
    need = workers_for(pool, claimable(pool) + running(pool))
    return Note(Reason.BACKLOG_PER_WORKER, need, f"{_at_hand(pool)}; no service time is known yet")


def _promise(pool: PoolSnapshot, service: float, memory: Memory) -> Note:
    """The most of three: what recurring bursts needed, what the rate needs, what is there now needs."""
    scaling = pool.spec.scaling
    target = scaling.target_wait_seconds
    came, known_seconds = arrivals(pool, RATE_WINDOW_SECONDS)
    rate = came / known_seconds if known_seconds > 0 else 0.0
    steady = workers_for(pool, slots_for_rate(rate, service, target, min(STEADY_SHARE, memory.promise)))
    kept = kept_now(memory.replay, memory.kept, pool.now_seconds)
    now = workers_for(pool, slots_at_hand(claimable(pool), running(pool), service, target))
    promise = f"so {percent(scaling.target_percent)} start within {seconds(target)}"
    need = max(steady, kept, now)
    if now > max(steady, kept):
        return Note(Reason.WORK_AT_HAND, now, f"{_at_hand(pool, service)}: {promise}")
    if kept > max(steady, now):
        text = (
            f"bursts of the last minutes needed {count(kept, 'worker')}, kept while they may recur: {promise}"
        )
        return Note(Reason.BURSTS_RECUR, kept, text)
    text = f"{_at_hand(pool, service, _arrive(came, known_seconds))}: {promise}"
    return Note(Reason.TARGET_WAIT, need, text)


def _at_hand(pool: PoolSnapshot, service: float | None = None, arrive: str = "") -> str:
    """`arrive`: words on arrivals, where they count."""
    each = "" if service is None else f"{seconds(service)} each, "
    per_worker = f"{arrive}{each}{pool.spec.concurrency} at once per worker"
    return f"{claimable(pool):,} waiting, {running(pool):,} running, {per_worker}"


def _arrive(came: int, known_seconds: float) -> str:
    """A rate where enough came to speak of one, else what came."""
    if came >= FEW_ARRIVALS:
        return f"{per_minute(came / known_seconds)} arrive, "
    return f"{came} arrived in {seconds(known_seconds)}, " if known_seconds else ""
