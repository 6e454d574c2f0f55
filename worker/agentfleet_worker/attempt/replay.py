"""PURE. What a journal says has happened, for a task that ends before its handler has."""

from collections.abc import Mapping
from typing import Any

from agentfleet_core.errors import DeadlineExceeded
from agentfleet_core.queue.envelope import SettleKind, TaskState
from agentfleet_core.queue.limits import MAX_OUTPUT_BYTES
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.queue.step import StepKind, StepRecord, encode_json
from agentfleet_worker.attempt.outcomes import Ending, fail


def partial(steps: Mapping[str, StepRecord], limit: str, seconds: int) -> Ending:
    """How a task ends whose time is over: with its steps' results, or failed where there is none.

    `limit` names the field that bounds it.
    """
    done = {key: record for key, record in steps.items() if record.kind is not StepKind.CUT}
    error = DeadlineExceeded("task", seconds)
    if not done:
        detail = f"the task did not end within {limit} ({seconds} s), and no step of it had"
        return fail(AttemptReason.TASK_TIMEOUT, detail, error)
    in_order = sorted(done.items(), key=lambda item: (item[1].ended_ms, item[0]))
    names = ", ".join(key for key, _ in in_order)
    lacks = [f"The task did not end within {limit} ({seconds} s); done are {names}."]
    output = encode_json({"steps": {key: _shown(record) for key, record in in_order}})
    if len(output) > MAX_OUTPUT_BYTES:
        output = encode_json({"steps": {key: None for key, _ in in_order}})
        lacks.append("The steps' results are too large for one result; read them from the task's steps.")
    return Ending(
        SettleKind.END,
        AttemptReason.TASK_TIMEOUT,
        state=TaskState.PARTIAL,
        output=output,
        limitations=tuple(lacks),
    )


def _shown(record: StepRecord) -> Any:
    """A model's text, a tool's content, a function's result."""
    if record.kind is StepKind.LLM:
        return "".join(block["text"] for block in record.result["content"] if block["type"] == "text")
    return record.result["content"] if record.kind is StepKind.TOOL else record.result
