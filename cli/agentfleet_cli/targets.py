"""What people copy from a screen into the next command."""

from agentfleet_core.errors import InvalidInput
from agentfleet_core.queue.ids import pool_of


def as_target(text: str) -> str:
    """A bare task id, as tables and answers print it, as `task/ID`; all else as it is."""
    try:
        pool_of(text)
    except InvalidInput:
        return text
    return f"task/{text}"
