"""What is wrong is refused with words that help, and heals when it is put right."""

import pytest
from tests.e2e.cluster import CommandFailed, until
from tests.e2e.installation import Installation
from tests.e2e.manifests import API, budget, pool, scripted, tenant_key

from agentfleet_core.errors import TaskFailed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_a_bad_manifest_is_refused_with_its_message(shared: Installation) -> None:
    with pytest.raises(CommandFailed, match="5 is above maxReplicas 3; lower it to 3 or less"):
        shared.apply(pool("bad", scaling={"minReplicas": 5}))


def test_a_missing_secret_is_named_and_heals_when_it_is_made(shared: Installation) -> None:
    shared.apply(pool("unkeyed"), scripted("unkeyed", "unkeyed"), budget("late", "1.00"))

    def accepted() -> dict[str, str]:
        status = shared.objects("tenantbudget", "late")[0].get("status") or {}
        return next((one for one in status.get("conditions", ()) if one["type"] == "Accepted"), {})

    until("the missing Secret is named", lambda: "late-key" in accepted().get("message", ""))
    shared.apply(tenant_key("late"))
    with shared.client("late") as client:
        assert client.list(limit=1).items == ()
    until("accepted", lambda: accepted().get("status") == "True")


def test_an_image_that_cannot_be_pulled_is_the_pools_condition(shared: Installation) -> None:
    shared.apply(pool("imageless", worker={"image": "no-such.test/worker:1"}, scaling={"minReplicas": 1}))
    reason = "ImagePullBackOff"
    until("the reason is the pod's", lambda: shared.pool("imageless").get("limitedBy") == reason)
    ready = shared.condition("imageless", "Ready")
    assert ready["reason"] == reason
    assert "no-such.test/worker:1" in ready["message"]
    shared.kubectl("delete", "agentpool", "imageless", "--timeout=60s")


def test_workers_that_no_node_can_take_are_the_pools_condition(shared: Installation) -> None:
    huge = {"resources": {"requests": {"cpu": "500"}}}
    shared.apply(pool("huge", worker=huge, scaling={"minReplicas": 1}))
    until("no node takes it", lambda: shared.pool("huge").get("limitedBy") == "Unschedulable")
    assert "Insufficient cpu" in shared.condition("huge", "Ready")["message"]
    shared.kubectl("delete", "agentpool", "huge", "--timeout=60s")


def test_a_quota_that_stops_pods_is_the_pools_condition_and_heals(shared: Installation) -> None:
    quota = {"hard": {"count/pods": "0"}}
    shared.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": quota})
    try:
        shared.apply(pool("starved", scaling={"minReplicas": 1}))
        until("the quota is named", lambda: shared.pool("starved").get("limitedBy") == "FailedCreate")
        assert "exceeded quota: none" in shared.condition("starved", "Ready")["message"]
    finally:
        shared.kubectl("delete", "resourcequota", "none")
    until(
        "it heals", lambda: shared.condition("starved", "Ready").get("reason") == "WorkersReady", seconds=120
    )
    shared.kubectl("delete", "agentpool", "starved", "--timeout=60s")


def test_a_worker_that_crashes_says_its_last_words(shared: Installation) -> None:
    overlay = {
        "spec": {"containers": [{"name": "worker", "env": [{"name": "PYTHONHOME", "value": "/none"}]}]}
    }
    shared.apply(pool("broken", worker={"podOverlay": overlay}, scaling={"minReplicas": 1}))
    until("it crashes", lambda: shared.pool("broken").get("limitedBy") == "CrashLoopBackOff")
    assert "exit code 1" in shared.condition("broken", "Ready")["message"]
    shared.kubectl("delete", "agentpool", "broken", "--timeout=60s")


def test_a_handler_that_the_image_lacks_is_the_tasks_failure_and_the_pools_condition(
    shared: Installation,
) -> None:
    task_type = {
        "apiVersion": API, "kind": "TaskType", "metadata": {"name": "lacking"},
        "spec": {
            "pool": "lacking", "tier": {"default": "fast"}, "handler": "nowhere:vanished",
            "retry": {"maxAttempts": 1},
        },
    }  # fmt: skip
    shared.apply(pool("lacking"), task_type, tenant_key("hopeful"), budget("hopeful", "1.00"))
    with shared.client("hopeful") as client:
        task = client.submit("lacking", {})
        with pytest.raises(TaskFailed, match="nowhere:vanished: module nowhere cannot be imported"):
            task.result(timeout=90)
    missing = until("the pool says so", lambda: _when(shared.condition("lacking", "CodeMissing"), "True"))
    assert missing["reason"] == "HandlerMissing"
    assert "nowhere:vanished" in missing["message"]
    shared.kubectl("delete", "tasktype", "lacking")
    until("it heals", lambda: _when(shared.condition("lacking", "CodeMissing"), "False"))


def _when(condition: dict[str, str], status: str) -> dict[str, str] | None:
    return condition if condition.get("status") == status else None
