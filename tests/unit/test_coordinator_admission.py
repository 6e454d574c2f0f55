"""What may come in, and as what: the decision alone, with nothing around it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.servers.coordinator import ACME_KEY, ADMIN_KEY, fleet_config, refund
from tests.servers.coordinator import tier as tier_of

from agentfleet_coordinator.admission import admit, choose_offer, choose_pool
from agentfleet_coordinator.budgets import first_call_cost
from agentfleet_coordinator.catalog import Catalog, Principal, compile_catalog
from agentfleet_coordinator.requests import parse_json, parse_submit
from agentfleet_core.errors import InvalidRequest, Unauthorized
from agentfleet_core.fleet.templates import PLACE
from agentfleet_core.providers.anthropic.bounds import MOST_BYTES_PER_TOKEN
from agentfleet_core.queue.envelope import Envelope
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.settings import FleetId

FLEET = FleetId("test", "unit")


def catalog(**changes: Any) -> Catalog:
    return compile_catalog(fleet_config(FLEET, **changes))


def admitted(found: Catalog, **fields: Any) -> Envelope:
    request = parse_submit(refund(**fields))
    offer = choose_offer(found, request)
    pool = choose_pool(found, offer, request)
    return admit(found, "acme", request, offer, new_task_id(pool), 7)


def test_what_a_submit_leaves_out_follows_the_task_type() -> None:
    envelope = admitted(catalog())

    assert (envelope.pool, envelope.priority, envelope.tier) == ("interactive", 50, "capable")
    assert (envelope.expires_after_seconds, envelope.max_attempts) == (86_400, 3)
    assert (envelope.tenant, envelope.revision, envelope.expected_cost) == ("acme", "r1", 7)


@pytest.mark.parametrize(
    ("asked", "tier", "reason"),
    [
        (None, "capable", "TierDefault"),
        ("fast", "fast", "TierRequested"),
        ("powerful", "capable", "TierAboveHighest"),
        ("tiny", "fast", "TierBelowLowest"),
    ],
)
def test_a_tier_is_kept_inside_the_types_bounds(asked: str | None, tier: str, reason: str) -> None:
    tiers = {"tiny": tier_of(1), "fast": tier_of(2), "capable": tier_of(3), "powerful": tier_of(4)}

    envelope = admitted(catalog(tiers=tiers), **({"tier": asked} if asked else {}))

    assert (envelope.tier, envelope.tier_reason) == (tier, reason)


def test_one_broken_schema_leaves_the_other_types_alone() -> None:
    types = {
        "broken": {
            "pool": "batch", "tier": {"default": "fast"}, "handler": "a:b",
            "inputSchema": {"type": "objekt"},
        },
        "remote": {
            "pool": "batch", "tier": {"default": "fast"}, "handler": "a:b",
            "inputSchema": {"$ref": "http://127.0.0.1:1/schema.json"},
        },
        "file": {
            "pool": "batch", "tier": {"default": "fast"}, "handler": "a:b",
            "inputSchema": {"$ref": "file:///etc/hostname"},
        },
        "fine": {"pool": "batch", "tier": {"default": "fast"}, "handler": "a:b"},
    }  # fmt: skip
    found = catalog(taskTypes=types)

    assert set(found.offers) == {"fine"}
    assert set(found.broken) == {"broken", "remote", "file"}
    with pytest.raises(InvalidRequest, match="has an input schema that cannot be used"):
        choose_offer(found, parse_submit({"type": "broken"}))


def test_a_pool_that_is_gone_is_named() -> None:
    with pytest.raises(
        InvalidRequest, match="pool interactive of task type refund-request does not exist"
    ) as wrong:
        admitted(catalog(pools={}))
    assert wrong.value.field == "pool"


def test_a_key_is_known_by_its_hash_alone() -> None:
    found = catalog()

    assert found.authenticate(f"Bearer {ACME_KEY}".encode()) == Principal("acme")
    assert found.authenticate(f"bearer  {ADMIN_KEY}".encode()) == Principal("", admin=True)
    assert ACME_KEY not in found.config.model_dump_json()
    for wrong in (b"", b"Bearer", b"Bearer ", ACME_KEY.encode(), b"Bearer \xff", b"Bearer " + b"x" * 100_000):
        with pytest.raises(Unauthorized):
            found.authenticate(wrong)


def test_a_long_prompt_raises_no_need_that_a_count_of_its_tokens_could_lower() -> None:
    found = catalog()
    envelope, now = admitted(found), datetime(2026, 11, 24, tzinfo=UTC)
    offer = found.offers["refund-request"]
    assert offer.spec.agent is not None
    long = offer.spec.agent.model_copy(update={"system": "Be kind. " * 1_000})
    longer = replace(offer, spec=offer.spec.model_copy(update={"agent": long}))

    need = first_call_cost(found, longer, envelope, now)

    believed = len(PLACE.sub("", f"{long.system}{long.prompt}").encode()) // MOST_BYTES_PER_TOKEN
    assert need == 1_024 * 5_000 + believed * 2_000, "no count is believed below that"


def test_the_places_of_a_prompt_raise_no_need_since_what_fills_them_may_be_short() -> None:
    found = catalog()
    envelope, now = admitted(found), datetime(2026, 11, 24, tzinfo=UTC)
    offer = found.offers["refund-request"]
    assert offer.spec.agent is not None
    places = offer.spec.agent.model_copy(update={"system": "{{ input.message }}" * 1_000})
    filled = replace(offer, spec=offer.spec.model_copy(update={"agent": places}))

    assert first_call_cost(found, filled, envelope, now) <= first_call_cost(found, offer, envelope, now)


def test_the_first_call_of_an_agent_needs_at_least_its_answer() -> None:
    found = catalog()
    envelope = admitted(found)
    now = datetime(2026, 11, 24, tzinfo=UTC)

    need = first_call_cost(found, found.offers["refund-request"], envelope, now)

    assert need >= 1_024 * 5_000  # maxOutputTokens at 5 USD a million
    assert first_call_cost(found, found.offers["anything"], envelope, now) == 1


@pytest.mark.parametrize(
    "text", ["18446744073709551615", "-9223372036854775808", "1.5e300", '"99999999999999999999"']
)
def test_numbers_that_can_be_carried_exactly_are(text: str) -> None:
    assert parse_json(f'{{"n":{text}}}'.encode())["n"] == json.loads(text)


@pytest.mark.parametrize("text", ["18446744073709551616", "-9223372036854775809", "1" * 25])
def test_numbers_that_would_be_rounded_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="send it as a string"):
        parse_json(f'{{"n":{text}}}'.encode())
