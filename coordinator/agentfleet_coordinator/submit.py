"""One submission from its JSON to the queue; a batch is many of these side by side.

What decides is in `admission`; here it meets the clock, the queue's depth and the tenant's money. A refusal
of a submission that carries a key is checked against its record first: a client that lost our answer and
asks again must learn of its task, however full or poor things are by then.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import Counter

from agentfleet_coordinator.admission import admit, choose_offer, choose_pool
from agentfleet_coordinator.budgets import budget_refusal
from agentfleet_coordinator.catalog import Catalog, Offer
from agentfleet_coordinator.idempotency import Note, note, recall
from agentfleet_coordinator.intake import Admitted
from agentfleet_coordinator.requests import parse_submit
from agentfleet_coordinator.services import Services
from agentfleet_core.errors import AgentfleetError, BudgetExhausted, Conflict, Overloaded
from agentfleet_core.keyspace.connect import redis_time
from agentfleet_core.keyspace.keys import TenantKeys
from agentfleet_core.queue.envelope import Envelope, TaskRecord
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.queue.task_view import Json, task_json
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
    payload.pop("idempotency_key", None)  # the same task, whether its key comes in a header or in the body
    noted = note(envelope.id, request.idempotency_key, payload)
    return Submission(envelope, noted, offer, request.reject)


class Gate:
    """The checks of one request that ask Redis: a batch asks about each pool and each budget once."""

    def __init__(self, services: Services, catalog: Catalog) -> None:
        self._services = services
        self._catalog = catalog
        self._refusals: dict[tuple[str, str, str], BudgetExhausted | None] = {}

    async def admit(self, submission: Submission) -> "asyncio.Future[Admitted]":
        """On its way into the queue; the future fails with `Conflict` or `Unavailable`.

        Raises `Overloaded`, `BudgetExhausted`, `Unavailable`.
        """
        services, envelope = self._services, submission.envelope
        try:
            await services.pressure.admit(envelope.pool, self._catalog.pools[envelope.pool].spec.max_queued)
            if submission.reject:
                await self._require_budget(submission)
        except (Overloaded, BudgetExhausted):
            keys = TenantKeys(services.fleet, envelope.tenant)
            if await recall(services.redis, keys, submission.note) is None:
                _count(envelope.pool, envelope.type, "refused")
                raise
        return services.intake.submit(envelope, submission.note)

    async def _require_budget(self, submission: Submission) -> None:
        envelope = submission.envelope
        asked = (envelope.pool, envelope.type, envelope.tier)
        if asked not in self._refusals:
            services, now = self._services, await redis_time(self._services.redis)
            queue = services.queues.pool(envelope.pool)
            self._refusals[asked] = await budget_refusal(
                services.ledger, queue, self._catalog, submission.offer, envelope, now
            )
        refusal = self._refusals[asked]
        if refusal is not None:
            raise refusal


async def place(services: Services, catalog: Catalog, submission: Submission) -> Admitted:
    """Into the queue. Raises what `Gate.admit` and its future do."""
    admitted = await (await Gate(services, catalog).admit(submission))
    _learn(services, admitted)
    return admitted


async def place_all(
    services: Services, catalog: Catalog, submissions: Sequence[Submission]
) -> list[Admitted | Exception]:
    """All side by side, one refusal or failure apart from the others."""
    gate = Gate(services, catalog)
    outcomes: dict[int, Admitted | Exception] = {}
    under_way: dict[int, asyncio.Future[Admitted]] = {}
    for index, submission in enumerate(submissions):
        try:
            under_way[index] = await gate.admit(submission)
        except Exception as error:  # noqa: BLE001  # an item's edge: the others have been admitted by now
            outcomes[index] = error
    if under_way:
        await asyncio.wait(under_way.values())
    for index, future in under_way.items():
        try:
            outcomes[index] = future.result()
        except Exception as error:  # noqa: BLE001  # an item's edge: the others have been admitted by now
            outcomes[index] = error
        else:
            _learn(services, future.result())
    return [outcomes[index] for index in range(len(submissions))]


def _learn(services: Services, admitted: Admitted) -> None:
    envelope = admitted.envelope
    if admitted.fresh:
        services.costs.watch(envelope.type, envelope.id)
        services.index.admitted(envelope.tenant)
    _count(envelope.pool, envelope.type, "accepted" if admitted.fresh else "repeated")


Told = tuple[int, Json] | Exception
"""A status and the task, or what to say instead."""


async def answers(services: Services, admitted: Sequence[Admitted]) -> list[Told]:
    """Of each: 201 and the task as admitted now, or 200 and how an earlier submission's task stands.

    Raises nothing: a record that cannot be read is told to whoever asked for it; the others get their ids.
    """
    repeated = [each.envelope.id for each in admitted if not each.fresh]
    records: dict[str, TaskRecord | None] = {}
    unread: Exception | None = None
    if repeated:
        try:
            records = dict(zip(repeated, await services.queues.read_many(repeated), strict=True))
        except Exception as error:  # noqa: BLE001  # an item's edge: the others have been admitted by now
            unread = error
    return [_told(each, records.get(each.envelope.id), unread) for each in admitted]


def _told(admitted: Admitted, record: TaskRecord | None, unread: Exception | None) -> Told:
    if admitted.fresh:
        return 201, task_json(TaskRecord(admitted.envelope, admitted.admitted_ms))
    if unread is not None:
        return unread
    if record is None:
        return Conflict("the task of this idempotency key is no longer kept; use a new key")
    return 200, task_json(record)


_children: dict[tuple[str, str, str], Counter] = {}


def _count(pool: str, task_type: str, outcome: str) -> None:
    key = (pool, task_type, outcome)
    child = _children.get(key)
    if child is None:
        child = _children[key] = metrics.TASKS_SUBMITTED.labels(*key)
    child.inc()
