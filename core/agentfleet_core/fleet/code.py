"""PURE. Which of users' functions a TaskType names: what a worker's image has to hold."""

from collections.abc import Iterator, Mapping

from agentfleet_core.api.v1alpha1 import TaskTypeSpec


def functions_of(spec: TaskTypeSpec) -> Iterator[str]:
    """`module:function` of the handler and of a workflow's steps."""
    if spec.handler:
        yield spec.handler
    if spec.workflow:
        yield from (step.handler for step in spec.workflow.steps)


def tools_of(spec: TaskTypeSpec) -> Iterator[str]:
    """`module:function` of the agent's tools."""
    if spec.agent:
        yield from spec.agent.tools


def types_by_code(types: Mapping[str, TaskTypeSpec]) -> dict[str, list[str]]:
    """`module:function` to the task types, by name and sorted, that name it."""
    found: dict[str, list[str]] = {}
    for name, spec in sorted(types.items()):
        for path in {*functions_of(spec), *tools_of(spec)}:
            found.setdefault(path, []).append(name)
    return found
