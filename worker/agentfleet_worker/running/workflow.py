"""Runs a TaskType's workflow: each step once what it depends on is there, at the same time where it may.

A step's handler takes the context, and by name whatever it wants of the input's fields and of the results
that it depends on (`charge-card` as `charge_card`). Its result is journaled under the step's name.
"""

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any

from agentfleet_core.api.v1alpha1.task_type import Workflow, WorkflowStep
from agentfleet_core.errors import InvalidInput
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.queue.step import StepKind
from agentfleet_worker.attempt.outcomes import AttemptStopped, fail
from agentfleet_worker.running.context import WorkerContext
from agentfleet_worker.running.services import Services


async def run_workflow(
    workflow: Workflow, context: WorkerContext, services: Services, values: Mapping[str, Any]
) -> Any:
    """The last step's result; where several steps have none after them, their results by name."""
    running: dict[str, asyncio.Task[Any]] = {}
    for step in workflow.steps:
        waits_for = {name: running[name] for name in step.depends_on}
        running[step.name] = asyncio.ensure_future(_run_step(step, context, services, values, waits_for))
    try:
        # Also after one failed: what the others have paid for is journaled then, not paid again.
        await asyncio.wait(running.values())
    finally:
        for task in running.values():
            task.cancel()
    for task in running.values():
        task.result()
    needed = {name for step in workflow.steps for name in step.depends_on}
    last = [step.name for step in workflow.steps if step.name not in needed]
    if len(last) == 1:
        return running[last[0]].result()
    return {name: running[name].result() for name in last}


async def _run_step(
    step: WorkflowStep,
    context: WorkerContext,
    services: Services,
    values: Mapping[str, Any],
    waits_for: Mapping[str, "asyncio.Task[Any]"],
) -> Any:
    offered = dict(values)
    for name, task in waits_for.items():
        offered[name.replace("-", "_")] = await asyncio.shield(task)
    function = services.code.function(step.handler)
    inner = context.inside(step.name)
    arguments = _chosen(step, function, inner, offered)
    return await context.run(
        StepKind.STEP, step.name, context.key_of(step.name), function, (inner,), arguments
    )


def _chosen(
    step: WorkflowStep, function: Any, inner: WorkerContext, offered: Mapping[str, Any]
) -> dict[str, Any]:
    signature = inspect.signature(function)
    takes_all = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())
    chosen = {name: value for name, value in offered.items() if takes_all or name in signature.parameters}
    try:
        signature.bind(inner, **chosen)
    except TypeError as error:
        there = ", ".join(sorted(offered)) or "nothing"
        detail = f"{step.handler}{signature} of step {step.name} cannot be called: {error}; there is {there}"
        raise AttemptStopped(fail(AttemptReason.INPUT_REFUSED, detail, InvalidInput(detail))) from error
    return chosen
