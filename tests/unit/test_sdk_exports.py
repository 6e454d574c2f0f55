"""`agentfleet` exports what its users need, and each name is what it says."""

import pytest

import agentfleet
from agentfleet import wire
from agentfleet_core.problems import TABLE


def test_every_exported_name_is_there() -> None:
    assert [name for name in agentfleet.__all__ if getattr(agentfleet, name).__name__ != name] == []


@pytest.mark.parametrize("status", [401, 402, 403, 404, 409, 422, 429, 503, 504])
def test_what_a_client_raises_can_be_caught_by_a_name_of_agentfleet(status: int) -> None:
    raised = type(wire.failure(status, b"", None))
    assert getattr(agentfleet, raised.__name__) is raised
    assert issubclass(raised, agentfleet.AgentfleetError)


def test_the_errors_that_a_client_makes_up_itself_are_exported_too() -> None:
    for name in ("TaskFailed", "DeadlineExceeded", "Unavailable", "Unauthorized", "HandlerFailed"):
        assert getattr(agentfleet, name) in TABLE
