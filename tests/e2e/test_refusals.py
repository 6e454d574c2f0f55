"""What is wrong is refused with words that help, and heals when it is put right."""

import pytest
from tests.e2e.cluster import CommandFailed, helm, kubectl, until
from tests.e2e.installation import Installation, api_key_of
from tests.e2e.manifests import budget, pool, scripted, tenant_key

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


def test_uninstall_leaves_crds_and_pools_and_hangs_on_no_finalizer(images: None) -> None:
    with Installation(values={"crds": {"enabled": False}}) as fleet:
        fleet.secret("me-key", api_key_of("me"))
        fleet.apply(pool("left", scaling={"minReplicas": 1}))
        until(
            "its finalizer is on", lambda: fleet.objects("agentpool", "left")[0]["metadata"].get("finalizers")
        )
        helm("uninstall", "af", "-n", fleet.namespace, "--wait")
        assert "agentpools.agentfleet.dev" in kubectl("get", "crds", "-o", "name")
        [left] = fleet.objects("agentpool", "left")
        assert not left["metadata"].get("finalizers")
        fleet.kubectl("delete", "agentpool", "left", "--timeout=20s")
