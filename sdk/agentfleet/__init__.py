"""What users import. Each name is loaded when it is first used, so that `import agentfleet` costs nothing."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentfleet.async_client import AsyncClient, AsyncTask
    from agentfleet.client import Client, Task
    from agentfleet.context import Reply, TaskContext
    from agentfleet.models import Result, Step, Submission, TaskEvent, TaskRequest
    from agentfleet.tools import Tool, tool
    from agentfleet_core.errors import (
        AgentfleetError,
        BudgetExhausted,
        Conflict,
        DeadlineExceeded,
        Forbidden,
        HandlerFailed,
        InvalidInput,
        InvalidRequest,
        NotFound,
        Overloaded,
        TaskFailed,
        Unauthorized,
        Unavailable,
    )

__all__ = [
    "AgentfleetError",
    "AsyncClient",
    "AsyncTask",
    "BudgetExhausted",
    "Client",
    "Conflict",
    "DeadlineExceeded",
    "Forbidden",
    "HandlerFailed",
    "InvalidInput",
    "InvalidRequest",
    "NotFound",
    "Overloaded",
    "Reply",
    "Result",
    "Step",
    "Submission",
    "Task",
    "TaskContext",
    "TaskEvent",
    "TaskFailed",
    "TaskRequest",
    "Tool",
    "Unauthorized",
    "Unavailable",
    "tool",
]

_HOME = {
    "AsyncClient": "agentfleet.async_client",
    "AsyncTask": "agentfleet.async_client",
    "Client": "agentfleet.client",
    "Result": "agentfleet.models",
    "Step": "agentfleet.models",
    "Submission": "agentfleet.models",
    "Task": "agentfleet.client",
    "TaskEvent": "agentfleet.models",
    "TaskRequest": "agentfleet.models",
    "Reply": "agentfleet.context",
    "TaskContext": "agentfleet.context",
    "Tool": "agentfleet.tools",
    "tool": "agentfleet.tools",
} | dict.fromkeys(
    (
        "AgentfleetError",
        "BudgetExhausted",
        "Conflict",
        "DeadlineExceeded",
        "Forbidden",
        "HandlerFailed",
        "InvalidInput",
        "InvalidRequest",
        "NotFound",
        "Overloaded",
        "TaskFailed",
        "Unauthorized",
        "Unavailable",
    ),
    "agentfleet_core.errors",
)


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
