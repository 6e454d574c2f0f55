"""One submission from its JSON to the queue; a batch is many of these side by side.

What decides is in `admission`; here it meets the clock, the queue's depth and the tenant's money. A refusal
of a submission that carries a key is checked against its record first: a client that lost our answer and
asks again must learn of its task, however full or poor things are by then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Counter

from agentfleet_coordinator import views
from agentfleet_coordinator.admission import admit, choose_offer, choose_pool
from agentfleet_coordinator.budgets import require_budget
from agentfleet_coordinator.catalog import Catalog, Offer
from agentfleet_coordinator.idempotency import Note, note, recall
from agentfleet_coordinator.intake import Admitted
from agentfleet_coordinator.requests import parse_submit
from agentfleet_coordinator.services import Services
from agentfleet_core.errors import AgentfleetError, BudgetExhausted, Conflict, Overloaded
from agentfleet_core.keyspace.keys import TenantKeys
from agentfleet_core.queue.envelope import Envelope
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.telemetry import metrics

OTHER = "other"


@dataclass(slots=True)
class Submission:
    """Valid, and about to be admitted."""

    envelope: Envelope
    note: Note
    offer: Offer
    reject: bool


def prepare(services: Services, catalog: Catalog, tenant: str, payload: Any, key: str | None) -> Submission:
    """Raises `InvalidRequest`; touches nothing."""
    try:
        request = parse_submit(payload, key)
        offer = choose_offer(catalog, request)
        pool = choose_pool(catalog, offer, request)
        envelope = admit(catalog, tenant, request, offer, new_task_id(pool), services.costs.of(offer.name))
    except AgentfleetError:
        _count(OTHER, OTHER, "refused")
        raise
    return Submission(envelope, note(envelope.id, request.idempotency_key, payload), offer, request.reject)


async def offer_to_queue(services: Services, catalog: Catalog, submission: Submission) -> Admitted:
    """Admit it. Raises `Overloaded`, `BudgetExhausted`, `Conflict`, `Unavailable`."""
    envelope = submission.envelope
    try:
        await services.pressure.admit(envelope.pool, catalog.pools[envelope.pool].spec.max_queued)
        if submission.reject:
            now = datetime.now(UTC)
            await require_budget(services.ledger, catalog, submission.offer, envelope, now)
    except (Overloaded, BudgetExhausted):
        keys = TenantKeys(services.fleet, envelope.tenant)
        known = await recall(services.redis, keys, submission.note)
        if known is None:
            _count(envelope.pool, envelope.type, "refused")
            raise
    admitted = await services.intake.submit(envelope, submission.note)
    if admitted.fresh:
        services.costs.watch(envelope.type, admitted.envelope.id)
        services.index.admitted(envelope.tenant)
    _count(envelope.pool, envelope.type, "accepted" if admitted.fresh else "repeated")
    return admitted


async def answers(services: Services, admitted: Sequence[Admitted]) -> list[tuple[int, views.Json]]:
    """Status and task of each: 201 as admitted now, 200 as an earlier submission's task stands."""
    repeated = [each.envelope.id for each in admitted if not each.fresh]
    records = dict(zip(repeated, await services.queues.read_many(repeated), strict=True)) if repeated else {}
    found: list[tuple[int, views.Json]] = []
    for each in admitted:
        if each.fresh:
            found.append((201, views.new_task(each.envelope, each.now_ms)))
            continue
        record = records[each.envelope.id]
        if record is None:
            raise Conflict("the task of this idempotency key has ended and is no longer kept; use a new key")
        found.append((200, views.task(record)))
    return found


_children: dict[tuple[str, str, str], Counter] = {}


def _count(pool: str, task_type: str, outcome: str) -> None:
    key = (pool, task_type, outcome)
    child = _children.get(key)
    if child is None:
        child = _children[key] = metrics.TASKS_SUBMITTED.labels(*key)
    child.inc()
