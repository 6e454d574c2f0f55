"""PURE. What the promise needs, before any bound: one note, whose number is workers, whose text says from what."""

from agentfleet_core.planner.policies import workers_for
from agentfleet_core.planner.reasons import Reason
from agentfleet_core.planner.snapshot import Note, PoolSnapshot
from agentfleet_core.planner.staffing import slots_at_hand, slots_for_rate
from agentfleet_core.planner.wording import percent, seconds
from agentfleet_core.planner.work import arrival_rate, has_work, running_now, waiting_now

RATE_WINDOW_SECONDS = 60.0


def demand(pool: PoolSnapshot) -> Note:
    note = _backlog(pool) if pool.service_seconds is None else _promise(pool, pool.service_seconds)
    if note.replicas == 0:
        return Note(Reason.NO_WORK, 0, "no task waits or runs, and none is expected")
    if pool.replicas == 0 and has_work(pool):
        return Note(Reason.FIRST_TASK, note.replicas, note.text)
    return note


def _backlog(pool: PoolSnapshot) -> Note:
    need = workers_for(pool, waiting_now(pool) + running_now(pool))
    return Note(Reason.BACKLOG_PER_WORKER, need, f"{_at_hand(pool)}; no service time is known yet")


def _promise(pool: PoolSnapshot, service: float) -> Note:
    scaling = pool.spec.scaling
    rate = arrival_rate(pool, RATE_WINDOW_SECONDS)
    steady = slots_for_rate(rate, service, scaling.target_wait_seconds, scaling.target_percent / 100)
    now = slots_at_hand(waiting_now(pool), running_now(pool), service, scaling.target_wait_seconds)
    reason = Reason.TARGET_WAIT if steady >= now else Reason.WORK_AT_HAND
    text = (
        f"{_at_hand(pool, service)}: so {percent(scaling.target_percent)} start within "
        f"{seconds(scaling.target_wait_seconds)}"
    )
    return Note(reason, workers_for(pool, max(steady, now)), text)


def _at_hand(pool: PoolSnapshot, service: float | None = None) -> str:
    each = "" if service is None else f"{seconds(service)} each, "
    per_worker = f"{each}{pool.spec.concurrency} at once per worker"
    return f"{waiting_now(pool):,} waiting, {running_now(pool):,} running, {per_worker}"
