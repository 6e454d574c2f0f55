"""What a cluster says of pods that do not come up, read from its objects."""

from typing import Any

import pytest

from agentfleet_core.planner.snapshot import Trouble
from agentfleet_operator.trouble import deployment_trouble, pod_trouble, worst

CRASHED = {"terminated": {"exitCode": 1, "reason": "Error", "message": "Traceback\nImportError: no shop\n"}}
TABLE: list[tuple[dict[str, Any], Trouble | None]] = [
    ({"state": {"waiting": {"reason": "ContainerCreating"}}}, None),
    ({"state": {"running": {}}, "ready": True, "lastState": CRASHED}, None),
    ({"state": {"running": {}}, "lastState": {}}, None),
    (
        {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}},
        Trouble("ImagePullBackOff", "not found"),
    ),
    (
        {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}, "lastState": CRASHED},
        Trouble("CrashLoopBackOff", "exit code 1 (Error): ImportError: no shop"),
    ),
    # Between two crashes it runs: the same words, so that the status does not flap.
    (
        {"state": {"running": {}}, "lastState": CRASHED},
        Trouble("CrashLoopBackOff", "exit code 1 (Error): ImportError: no shop"),
    ),
    (
        {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}}},
        Trouble("CreateContainerConfigError", 'secret "x" not found'),
    ),
]


@pytest.mark.parametrize(("container", "expected"), TABLE)
def test_a_container_in_trouble(container: dict[str, Any], expected: Trouble | None) -> None:
    assert pod_trouble({"status": {"containerStatuses": [container]}}) == expected


def test_a_pod_that_no_node_takes() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    assert pod_trouble({"status": {"conditions": [condition]}}) == Trouble("Unschedulable", "0/1 nodes")


def test_a_quota_stops_the_deployment() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded"}
    assert deployment_trouble({"status": {"conditions": [condition]}}) == Trouble("FailedCreate", "exceeded")
    assert deployment_trouble({"status": {"conditions": [condition | {"status": "False"}]}}) is None


def test_of_several_it_is_always_the_same_one() -> None:
    one, two = Trouble("A", "x"), Trouble("B", "x")
    assert worst([two, None, one]) == worst([one, two]) == one
    assert worst([None]) is None
