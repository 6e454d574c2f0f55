"""The cluster's definitions of the four kinds: too old, taken away, kept."""

import pytest
import yaml
from tests.e2e.cluster import ROOT, apply, helm, kubectl, objects, until
from tests.e2e.installation import ONE_OF_EACH, Installation
from tests.e2e.manifests import pool

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def definitions() -> list[str]:
    names = kubectl("get", "crds", "-o", "name").split()
    return [name for name in names if name.endswith(".agentfleet.dev")]


@pytest.fixture
def undefined(images: None) -> None:
    """A cluster without our definitions; never one that others' fleets live in."""
    found = definitions()
    if not found:
        return
    if objects("agentpools", "-A"):
        pytest.fail("this story deletes the definitions, and there are AgentPools in the cluster")
    kubectl("delete", *found)


def test_an_operator_with_older_definitions_does_not_start_and_says_what_to_run(undefined: None) -> None:
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        definition = yaml.safe_load(file.read_text())
        if definition["spec"]["names"]["kind"] == "AgentPool":
            schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            del schema["properties"]["spec"]["properties"]["bulkhead"]
        apply(definition)
    with Installation(values=ONE_OF_EACH | {"crds": {"enabled": False}}, wait=False) as fleet:
        command = "kubectl apply --server-side --force-conflicts -k deploy/crds"
        until(
            "the pod says what to run",
            lambda: command in str(fleet.objects("pods", "-l", "app.kubernetes.io/name=agentfleet-operator")),
        )
        kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "deploy" / "crds"))
        fleet.kubectl("rollout", "status", "deployment/af-operator", "--timeout=90s")


def test_told_to_keep_nothing_an_uninstallation_takes_definitions_and_so_every_object(
    undefined: None,
) -> None:
    with Installation(values=ONE_OF_EACH | {"crds": {"keep": False}}) as fleet:
        fleet.apply(pool("doomed", scaling={"minReplicas": 1}))
        until("its worker is ready", lambda: fleet.workers("doomed"))
        helm("uninstall", fleet.release, "-n", fleet.namespace)
        until("the definitions are gone", lambda: not definitions())
        until("the pool's worker is gone", lambda: not fleet.workers("doomed", ready=False))


def test_left_to_itself_it_keeps_definitions_and_pools_and_hangs_on_no_finalizer(images: None) -> None:
    with Installation(values=ONE_OF_EACH) as fleet:
        fleet.apply(pool("left", scaling={"minReplicas": 1}))
        until(
            "its finalizer is on", lambda: fleet.objects("agentpool", "left")[0]["metadata"].get("finalizers")
        )
        fleet.uninstall()
        assert len(definitions()) == 4
        [left] = fleet.objects("agentpool", "left")
        assert not left["metadata"].get("finalizers")
        fleet.kubectl("delete", "agentpool", "left", "--timeout=20s")
