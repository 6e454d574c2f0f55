"""What users see of the kinds on a real API server: columns, defaults, scale, a status of its own."""

from typing import Any

import pytest
from tests.manifests.table import good
from tests.servers.kube import KubeApiserver

from agentfleet_core.api.structural import with_defaults
from agentfleet_core.api.v1alpha1 import KINDS
from agentfleet_core.api.v1alpha1.base import Kind
from agentfleet_core.api.validation import schema_of

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
MERGE = {"Content-Type": "application/merge-patch+json"}


def url(namespace: str, kind: str, rest: str = "") -> str:
    return f"/apis/agentfleet.dev/v1alpha1/namespaces/{namespace}/{kind.lower()}s{rest}"


def created(kube: KubeApiserver, namespace: str, kind: str) -> dict[str, Any]:
    answer = kube.http.post(url(namespace, kind), json=good(kind))
    answer.raise_for_status()
    return dict(answer.json())


def row(kube: KubeApiserver, namespace: str, kind: str) -> dict[str, Any]:
    """The one line of `kubectl get`, as the server makes it."""
    table = kube.http.get(url(namespace, kind), headers=TABLE).json()
    (line,) = table["rows"]
    names = [column["name"] for column in table["columnDefinitions"]]
    return dict(zip(names, line["cells"], strict=True))


def test_a_pools_line_answers_what_an_operator_asks_first(kube: KubeApiserver, namespace: str) -> None:
    created(kube, namespace, "AgentPool")
    status = {"desired": 4, "ready": 3, "waiting": 1840, "running": 16, "spendPerHour": "39.80"}
    status |= {"limitedBy": "SpendPerHour", "oldestWaiting": "2026-11-24T10:00:00Z"}
    answer = kube.http.patch(
        url(namespace, "AgentPool", "/interactive/status"), json={"status": status}, headers=MERGE
    )
    answer.raise_for_status()
    line = row(kube, namespace, "AgentPool")
    names = ("Name", "Wanted", "Ready", "Waiting", "Running", "$/Hour", "Limited By")
    assert [line[name] for name in names] == ["interactive", 4, 3, 1840, 16, "39.80", "SpendPerHour"]
    assert line["Oldest"].endswith(("h", "d", "m", "s"))


def test_a_budgets_line_shows_the_limit_nearest_to_its_end(kube: KubeApiserver, namespace: str) -> None:
    created(kube, namespace, "TenantBudget")
    status = {"phase": "Exhausted", "spent": "$82.02", "held": "$1.10", "limit": "$100/day"}
    status |= {"resets": "00:00 Europe/Berlin"}
    path = url(namespace, "TenantBudget", "/globex/status")
    kube.http.patch(path, json={"status": status}, headers=MERGE).raise_for_status()
    line = row(kube, namespace, "TenantBudget")
    shown = [line[name] for name in ("Tenant", "Phase", "Spent", "Held", "Limit", "Resets")]
    assert shown == ["globex", "Exhausted", "$82.02", "$1.10", "$100/day", "00:00 Europe/Berlin"]


@pytest.mark.parametrize("kind", ["TaskType", "ModelTier"])
def test_a_line_shows_whether_the_object_is_accepted_and_why(
    kube: KubeApiserver, namespace: str, kind: str
) -> None:
    name = created(kube, namespace, kind)["metadata"]["name"]
    condition = {
        "type": "Accepted",
        "status": "False",
        "reason": "ReferenceNotFound",
        "lastTransitionTime": "2026-11-24T10:00:00Z",
    }
    path = url(namespace, kind, f"/{name}/status")
    kube.http.patch(path, json={"status": {"conditions": [condition]}}, headers=MERGE).raise_for_status()
    line = row(kube, namespace, kind)
    assert (line["Accepted"], line["Reason"]) == ("False", "ReferenceNotFound")


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_fills_in_the_defaults_that_validate_counts_with(
    kube: KubeApiserver, namespace: str, kind: type[Kind]
) -> None:
    name = kind.__name__
    stored = created(kube, namespace, name)
    assert stored["spec"] == with_defaults(schema_of(name), good(name))["spec"]


def test_kubectl_scale_pins_a_pool_and_reads_its_workers(kube: KubeApiserver, namespace: str) -> None:
    created(kube, namespace, "AgentPool")
    status = {"status": {"replicas": 3, "selector": "agentfleet.dev/pool=interactive"}}
    path = url(namespace, "AgentPool", "/interactive")
    kube.http.patch(f"{path}/status", json=status, headers=MERGE).raise_for_status()
    scale = kube.http.patch(f"{path}/scale", json={"spec": {"replicas": 5}}, headers=MERGE).json()
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (5, 3)
    assert scale["status"]["selector"] == "agentfleet.dev/pool=interactive"
    assert kube.http.get(path).json()["spec"]["replicas"] == 5


def test_a_manifest_cannot_write_a_status_and_a_status_cannot_write_a_spec(
    kube: KubeApiserver, namespace: str
) -> None:
    claimed = good("AgentPool") | {"status": {"desired": 99}}
    stored = kube.http.post(url(namespace, "AgentPool"), json=claimed).json()
    assert "status" not in stored
    path = url(namespace, "AgentPool", "/interactive/status")
    body = {"spec": {"concurrency": 99}, "status": {"desired": 1}}
    after = kube.http.patch(path, json=body, headers=MERGE).json()
    assert (after["spec"]["concurrency"], after["status"]["desired"]) == (4, 1)


def test_all_kinds_are_found_under_one_word(kube: KubeApiserver) -> None:
    found = kube.http.get("/apis/agentfleet.dev/v1alpha1").json()["resources"]
    kinds = {one["kind"]: one for one in found if "/" not in one["name"]}
    assert {name: one["shortNames"] for name, one in kinds.items()} == {
        "AgentPool": ["ap"],
        "ModelTier": ["mt"],
        "TaskType": ["tt"],
        "TenantBudget": ["tb"],
    }
    assert all(one["categories"] == ["agentfleet"] and one["namespaced"] for one in kinds.values())
