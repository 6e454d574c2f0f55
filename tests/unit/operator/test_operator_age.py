"""Definitions and operators of different releases: which of them may meet."""

from typing import Any

from agentfleet_core.api.crdgen import structural_schema
from agentfleet_core.api.v1alpha1 import GROUP, KINDS, VERSION
from agentfleet_operator.definitions import problem_of

Json = dict[str, Any]


def published() -> dict[str, Json]:
    """Kind to its schema, as the API server publishes those of this release."""
    return {
        kind.__name__: structural_schema(kind)
        | {"x-kubernetes-group-version-kind": [{"group": GROUP, "version": VERSION, "kind": kind.__name__}]}
        for kind in KINDS
    }


def problem(schemas: dict[str, Json]) -> str:
    return problem_of({"components": {"schemas": {f"dev.{name}": one for name, one in schemas.items()}}})


def test_the_same_release_fits() -> None:
    assert problem(published()) == ""


def test_a_newer_definition_fits() -> None:
    newer = published()
    for schema in newer.values():
        schema["properties"]["spec"]["properties"]["later"] = {"type": "string"}
    assert problem(newer) == ""


def test_an_older_definition_is_named_by_what_it_lacks() -> None:
    older = published()
    del older["TaskType"]["properties"]["spec"]["properties"]["workflow"]
    steps = published()["TaskType"]["properties"]["spec"]["properties"]["workflow"]
    assert "TaskType.spec.workflow; " in problem(older)

    older["TaskType"]["properties"]["spec"]["properties"]["workflow"] = steps
    del steps["properties"]["steps"]["items"]["properties"]["dependsOn"]
    del older["AgentPool"]["properties"]["status"]["properties"]["limitedBy"]
    older["AgentPool"]["properties"]["spec"]["properties"]["lane"]["enum"].remove("Batch")
    said = problem(older)
    assert "TaskType.spec.workflow.steps[].dependsOn" in said
    assert "AgentPool.status.limitedBy" in said
    assert "AgentPool.spec.lane=Batch" in said


def test_a_definition_that_is_not_there_is_named() -> None:
    some = published()
    del some["ModelTier"]
    assert problem(some).startswith(
        "the cluster has no CustomResourceDefinitions modeltiers.agentfleet.dev; "
    )
    assert problem_of({}).count(GROUP) == len(KINDS)
