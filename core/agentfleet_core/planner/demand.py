"""PURE. What the promise needs, before any bound: one note, whose number is workers and whose text says from what."""

from agentfleet_core.planner.policies import workers_for
from agentfleet_core.planner.reasons import Reason
from agentfleet_core.planner.snapshot import Note, PoolSnapshot
from agentfleet_core.planner.staffing import slots_at_hand, slots_for_rate
from agentfleet_core.planner.wording import count, percent, seconds
from agentfleet_core.planner.work import arrival_rate, running_now, waiting_now

RATE_WINDOW_SECONDS = 60.0


def demand(pool: PoolSnapshot) -> Note:
    """Text is empty when nothing is needed."""
    waiting, running = waiting_now(pool), running_now(pool)
    service = pool.service_seconds
    if service is None:
        text = f"{count(waiting, 'task')} waiting, {running:,} running, {pool.spec.concurrency} at once per worker; no service time known yet"
        need = workers_for(pool, waiting + running)
        return Note(Reason.BACKLOG_PER_WORKER, need, text if need else "")
    scaling = pool.spec.scaling
    rate = arrival_rate(pool, RATE_WINDOW_SECONDS)
    steady = slots_for_rate(rate, service, scaling.target_wait_seconds, scaling.target_percent / 100)
    at_hand = slots_at_hand(waiting, running, service, scaling.target_wait_seconds)
    need = workers_for(pool, max(steady, at_hand))
    reason = Reason.TARGET_WAIT if steady >= at_hand else Reason.WORK_AT_HAND
    text = (
        f"{waiting:,} waiting, {running:,} running, {seconds(service)} each, {pool.spec.concurrency} at once per worker: "
        f"so {percent(scaling.target_percent)} start within {seconds(scaling.target_wait_seconds)}"
    )
    return Note(reason, need, text if need else "")
