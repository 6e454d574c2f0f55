"""Runs what a TaskType names: a handler, a workflow or an agent. Gives the task's output, or raises how it
ended.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from agentfleet.tools import call_function
from agentfleet_core.errors import CodeMissing, InvalidInput
from agentfleet_core.queue.limits import MAX_OUTPUT_BYTES
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.queue.step import encode_json
from agentfleet_worker.attempt.limits import sized
from agentfleet_worker.attempt.outcomes import AttemptStopped, Ending, fail, retry, succeed
from agentfleet_worker.running.agents import run_agent
from agentfleet_worker.running.context import WorkerContext
from agentfleet_worker.running.schemas import problems_of
from agentfleet_worker.running.services import Services
from agentfleet_worker.running.workflow import run_workflow


async def execute(context: WorkerContext, services: Services) -> Ending:
    """How the attempt ended well. Raises `AttemptStopped`, or what a handler raised."""
    attempt = context.running
    spec = attempt.spec
    values = orjson.loads(attempt.claim.envelope.input)
    try:
        if spec.handler is not None:
            function = services.code.function(spec.handler)
            check_fields(function, context, values)
            code = getattr(function, "__code__", None)
            if code is not None and code.co_flags & inspect.CO_COROUTINE:
                result = await function(context, **values)
            else:
                result = await call_function(function, context, **values)
        elif spec.workflow is not None:
            result = await run_workflow(spec.workflow, context, services, values)
        elif spec.agent is not None:
            answer = await run_agent(spec, context, services, values)
            return succeed(_output(answer.output, spec.output_schema), answer.limitations)
        else:
            raise AttemptStopped(fail(AttemptReason.TYPE_UNKNOWN, "the task type has nothing to run"))
    except CodeMissing as error:
        raise AttemptStopped(retry(AttemptReason.HANDLER_MISSING, str(error), error)) from error
    return succeed(_output(result, spec.output_schema))


MOST_FITTING = 10_000
_FITTING: set[tuple[Callable[..., Any], tuple[str, ...]]] = set()
"""Functions with the fields that they are known to take: binding a signature costs more than a short task."""


def check_fields(function: Callable[..., Any], context: WorkerContext, values: Mapping[str, Any]) -> None:
    """Raises `AttemptStopped` when the function does not take these fields."""
    named = (function, tuple(values))
    if named in _FITTING:
        return
    signature = inspect.signature(function)
    try:
        signature.bind(context, **values)
    except TypeError as error:
        name = getattr(function, "__qualname__", repr(function))
        detail = f"{name}{signature} does not take this input: {error}; name its fields, or take **fields"
        raise AttemptStopped(fail(AttemptReason.INPUT_REFUSED, detail, InvalidInput(detail))) from error
    if len(_FITTING) >= MOST_FITTING:
        _FITTING.clear()
    _FITTING.add(named)


def _output(result: Any, schema: Mapping[str, Any]) -> bytes:
    try:
        output = encode_json(result)
    except InvalidInput as error:
        detail = f"the result {error}; return what JSON can say"
        raise AttemptStopped(fail(AttemptReason.OUTPUT_REFUSED, detail, error)) from error
    if len(output) > MAX_OUTPUT_BYTES:
        detail = (
            f"the result has {sized(len(output))}, a task may return {sized(MAX_OUTPUT_BYTES)}: "
            "store it elsewhere and return where"
        )
        raise AttemptStopped(fail(AttemptReason.OUTPUT_REFUSED, detail))
    if schema:
        wrong = problems_of(schema, orjson.loads(output))
        if wrong:
            detail = f"the result is off the type's outputSchema: {wrong}"
            raise AttemptStopped(fail(AttemptReason.OUTPUT_REFUSED, detail))
    return output
