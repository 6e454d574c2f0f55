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
