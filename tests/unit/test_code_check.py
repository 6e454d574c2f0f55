"""What manifests name as code is tried before a task meets it."""

from pathlib import Path

from agentfleet_cli.local.code_check import named_code
from agentfleet_cli.local.manifests import read_manifests
from agentfleet_worker.check_code import missing

EXAMPLE = Path(__file__).parents[2] / "examples" / "support"


def test_every_function_of_the_manifests_is_named_once() -> None:
    types = [one.spec for one in read_manifests(EXAMPLE).resources if one.kind == "TaskType"]
    named = named_code(types)
    assert named["tools"] == ["shop.tools:lookup_order"]
    assert "shop.agents:delivery_complaint" in named["functions"]
    assert "shop.agents:book_courier" in named["functions"]


def test_what_cannot_be_loaded_is_said_with_its_cause() -> None:
    assert missing(["json:dumps"], []) == []
    assert missing(["json:dunps", "nowhere_at_all:go"], []) == [
        "json:dunps: module json has no dunps",
        "nowhere_at_all:go: module nowhere_at_all cannot be imported: ModuleNotFoundError: No module named"
        " 'nowhere_at_all'",
    ]
