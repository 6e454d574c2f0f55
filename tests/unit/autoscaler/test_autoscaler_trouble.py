"""What a pool's trouble is made of, and how `why` tells it."""

import json

from agentfleet_core.api.v1alpha1 import TaskTypeSpec
from agentfleet_core.autoscaler.record import encode_plan
from agentfleet_core.autoscaler.trouble import troubles
from agentfleet_core.planner.plan import plan
from agentfleet_core.planner.snapshot import Trouble
from agentfleet_core.queue.envelope import MissingCode
from agentfleet_core.testing.pools import pool

TIER = {"default": "fast", "lowest": "fast", "highest": "fast"}
TYPES = {
    name: TaskTypeSpec.model_validate({"pool": "chat", "tier": TIER, "handler": f"shop.agents:{name}"})
    for name in ("answer", "refund", "greet", "close", "count")
}
WAITS = Trouble("Unschedulable", "0/1 nodes are available")


def missing(name: str, revision: str = "new") -> MissingCode:
    path = f"shop.agents:{name}"
    return MissingCode(revision, path, f"{path}: module shop.agents has no {name}")


def test_what_is_missing_names_the_function_and_the_task_types() -> None:
    [found] = troubles(None, [missing("answer")], "new", TYPES)
    assert found == Trouble(
        "HandlerMissing", "shop.agents:answer: module shop.agents has no answer (named by answer)"
    )


def test_what_an_older_image_lacked_is_over() -> None:
    assert troubles(None, [missing("answer", "old")], "new", TYPES) == ()


def test_what_no_type_names_any_more_is_over() -> None:
    assert troubles(None, [missing("renamed")], "new", TYPES) == ()


def test_the_runners_trouble_comes_first() -> None:
    found = troubles(WAITS, [missing("answer")], "new", TYPES)
    assert [one.reason for one in found] == ["Unschedulable", "HandlerMissing"]


def test_a_message_stays_short() -> None:
    [found] = troubles(None, [missing(name) for name in TYPES], "new", TYPES)
    assert found.message.count("named by") == 3
    assert found.message.endswith("; and 2 more")


def test_why_tells_it_below_the_chain() -> None:
    seen = pool(waiting=1, trouble=(WAITS,))
    record = json.loads(encode_plan(seen, plan(seen), ()))
    assert record["trouble"] == [{"reason": "Unschedulable", "message": "0/1 nodes are available"}]
    assert record["text"].splitlines()[-1] == "  trouble: 0/1 nodes are available (Unschedulable)"
