"""PURE. `plan(snapshot) -> PoolPlan`: what the promise needs, the rules in their order, who goes."""

from agentfleet_core.planner.demand import demand
from agentfleet_core.planner.memory import Memory, remember
from agentfleet_core.planner.policies import BOUNDS, HOLDS, OVERRIDES, SAFETY, follow
from agentfleet_core.planner.reasons import LIMITS, Reason
from agentfleet_core.planner.shrink import Shrink, shrink
from agentfleet_core.planner.snapshot import Note, PoolPlan, PoolSnapshot
from agentfleet_core.planner.wording import count
from agentfleet_core.queue.depth import has_work

ACTIVE_CHECK_SECONDS = 1.0
"""How often a pool with work or workers is looked at when no signal comes."""


def plan(pool: PoolSnapshot) -> PoolPlan:
    memory = pool.memory if pool.service_seconds is None else remember(pool, pool.service_seconds)
    override = _override(pool)
    if override is None:
        recommended, notes = _recommend(pool, memory if isinstance(memory, Memory) else None)
        wanted, holds = follow(HOLDS, pool, recommended)
    else:
        recommended, notes = override.replicas, (override,)
        wanted, holds = follow(SAFETY, pool, recommended)
    notes += holds
    if pool.contested:
        going = Shrink(pool.replicas, (), (), 0)
    else:
        going = shrink(pool, wanted, may_shrink=not any(rule(pool, -1) for rule in SAFETY))
    if going.finishing and going.replicas > wanted:
        text = (
            f"{count(going.finishing, 'worker')} told to claim nothing more; each goes once it holds nothing"
        )
        notes += (Note(Reason.DRAINING, going.replicas, text),)
    return PoolPlan(
        pool=pool.name,
        replicas=going.replicas,
        recommended=recommended,
        limited_by=_limited_by(notes) if override is None else override.reason,
        notes=notes,
        not_counted=_not_counted(pool),
        drain=going.drain,
        victims=going.victims,
        next_check_seconds=_next_check(pool, going.replicas),
        memory=memory,
        wanted=wanted,
    )


def _override(pool: PoolSnapshot) -> Note | None:
    return next((note for rule in OVERRIDES if (note := rule(pool, 0)) is not None), None)


def _recommend(pool: PoolSnapshot, memory: Memory | None) -> tuple[int, tuple[Note, ...]]:
    need = demand(pool, memory)
    number, notes = follow(BOUNDS, pool, need.replicas)
    return number, (need, *notes)


def _limited_by(notes: tuple[Note, ...]) -> str:
    """The last rule that left less than what the promise needs."""
    word = ""
    needed = notes[0].replicas
    for note in notes:
        if note.reason in LIMITS and note.replicas < needed:
            word = note.reason
    return word


def _not_counted(pool: PoolSnapshot) -> tuple[Note, ...]:
    limits = dict(pool.blocked_by)
    named = [
        Note(
            Reason.BUDGET_EXHAUSTED,
            0,
            f"{count(tasks, 'task')} of {tenant}, whose {limits.get(tenant) or 'budget has no room'}",
        )
        for tenant, tasks in pool.blocked_tenants
    ]
    rest = pool.blocked_tasks - sum(tasks for _, tasks in pool.blocked_tenants)
    if rest > 0:
        named.append(
            Note(
                Reason.BUDGET_EXHAUSTED,
                0,
                f"{count(rest, 'task')} of other tenants whose budgets have no room",
            )
        )
    return tuple(named)


def _next_check(pool: PoolSnapshot, replicas: int) -> float | None:
    """Nothing changes by itself in a pool without work, workers, or a task with a time of its own."""
    moving = replicas != pool.replicas or any(worker.draining for worker in pool.workers)
    if has_work(pool) or moving or replicas > pool.spec.scaling.min_replicas:
        return ACTIVE_CHECK_SECONDS
    if pool.next_due_in_seconds is None:
        return None
    return max(ACTIVE_CHECK_SECONDS, pool.next_due_in_seconds - pool.start_seconds)
