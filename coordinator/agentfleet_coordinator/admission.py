"""PURE. Whether a task may come in, and as what: catalog + request -> envelope, or what to change."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from agentfleet_coordinator.catalog import Catalog, Offer
from agentfleet_coordinator.requests import SubmitRequest
from agentfleet_core.errors import InvalidRequest
from agentfleet_core.queue.envelope import Envelope
from agentfleet_core.queue.limits import MAX_INPUT_BYTES
from agentfleet_core.routing.router import route

MAX_SCHEMA_ERRORS = 3
"""Of an input, said at once."""


def choose_offer(catalog: Catalog, request: SubmitRequest) -> Offer:
    offer = catalog.offers.get(request.type)
    if offer is not None:
        return offer
    broken = catalog.broken.get(request.type)
    if broken is not None:
        raise InvalidRequest(f"task type {request.type} has an input schema that {broken}", field="type")
    there_are = _there_are(request.type, catalog.offers)
    raise InvalidRequest(f"task type {request.type} does not exist; {there_are}", field="type")


def choose_pool(catalog: Catalog, offer: Offer, request: SubmitRequest) -> str:
    """The pool asked for, if the type allows it, else the type's own."""
    pool = request.pool or offer.spec.pool
    if pool not in offer.pools:
        allowed = ", ".join(offer.pools)
        raise InvalidRequest(
            f"task type {offer.name} does not run in pool {pool}; choose one of {allowed}, "
            f"or add it to spec.pools of TaskType {offer.name}",
            field="pool",
        )
    compiled = catalog.pools.get(pool)
    if compiled is None or compiled.deleting:
        what = "is being deleted" if compiled is not None else "does not exist"
        raise InvalidRequest(f"pool {pool} of task type {offer.name} {what}", field="pool")
    return pool


def admit(
    catalog: Catalog, tenant: str, request: SubmitRequest, offer: Offer, task_id: str, expected_cost: int
) -> Envelope:
    """The envelope, its id given. Raises `InvalidRequest`; the pool in the id has been chosen already."""
    spec = offer.spec
    if request.tier is not None and request.tier not in catalog.tiers:
        there_are = _there_are(request.tier, catalog.tiers)
        raise InvalidRequest(f"tier {request.tier} does not exist; {there_are}", field="tier")
    chosen = route(spec.tier, catalog.tiers, asked=request.tier)
    return Envelope(
        id=task_id,
        tenant=tenant,
        type=offer.name,
        priority=spec.priority if request.priority is None else request.priority,
        revision=catalog.pools[task_id.partition(".")[0]].revision,
        tier=chosen.tier,
        tier_reason=chosen.reason.value,
        input=checked_input(offer, request.input),
        labels=request.labels or {},
        expires_after_seconds=request.expires_after_seconds or spec.timeouts.expires_after_seconds,
        expected_cost=expected_cost,
        max_attempts=spec.retry.max_attempts,
    )


def checked_input(offer: Offer, value: Mapping[str, Any]) -> bytes:
    """The input as JSON bytes, valid against the type's schema and not too large."""
    if not offer.validator.is_valid(value):
        raise _off_schema(offer, value)
    body = orjson.dumps(value)
    if len(body) > MAX_INPUT_BYTES:
        raise InvalidRequest(
            f"input has {len(body):,} bytes, more than {MAX_INPUT_BYTES:,}; "
            "put large content elsewhere and pass a reference",
            field="input",
        )
    return body


def _off_schema(offer: Offer, value: Mapping[str, Any]) -> InvalidRequest:
    found = []
    for error in offer.validator.iter_errors(value):
        path = "input" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.instance_path)
        found.append((path, f"{path}: {_short(error.message)}"))
        if len(found) == MAX_SCHEMA_ERRORS:
            break
    if not found:
        found = [("input", "input: it is not valid")]
    sentences = "; ".join(sentence for _, sentence in found)
    return InvalidRequest(f"the input does not fit TaskType {offer.name}: {sentences}", field=found[0][0])


def _short(message: str) -> str:
    return message if len(message) <= 200 else f"{message[:197]}…"


def _there_are(name: str, names: Iterable[str]) -> str:
    known = sorted(names)
    if not known:
        return "there are none yet"
    near = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")
    return f"did you mean {near[0]}? There are {listed}" if near else f"there are {listed}"
