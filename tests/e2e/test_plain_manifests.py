"""`kubectl apply -k deploy/namespaced`, as docs/kubernetes.md says it, up to a first task."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e import node
from tests.e2e.cluster import ROOT, TAG, CommandFailed, kubectl
from tests.e2e.installation import Installation
from tests.e2e.manifests import budget, pool, script, scripted, tenant_key, tier

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PASSWORD = "only-of-this-story"
SECRETS: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
    for name, values in (
        ("agentfleet-admin", {"api-key": "af-admin-0123456789abcdef"}),
        (
            "agentfleet-redis",
            {
                "url": f"redis://agentfleet:{PASSWORD}@agentfleet-redis.agentfleet.svc:6379/0",
                "users.acl": "user default off ~* &* +@all\n"
                f"user agentfleet on >{PASSWORD} ~* &* +@all -@admin -@dangerous +info +client\n",
            },
        ),
    )
]


class PlainInstallation(Installation):
    """Made by kustomize from an overlay: what a cluster's owner changes is images and the storage class."""

    def __init__(self, folder: Path, storage_class: str) -> None:
        super().__init__(before=SECRETS)
        self.namespace = self.release = "agentfleet"
        self._folder = folder
        self._storage_class = storage_class

    def install(self, **values: Any) -> None:
        ours = ("agentfleet-operator", "agentfleet-coordinator")
        place = {"op": "add", "path": "/spec/volumeClaimTemplates/0/spec/storageClassName"}
        overlay = {
            "resources": [os.path.relpath(ROOT / "deploy" / "namespaced", self._folder.resolve())],
            "images": [
                *({"name": name, "newTag": TAG} for name in ours),
                {"name": "docker.io/valkey/valkey", "newName": "agentfleet-redis", "newTag": TAG},
            ],
            "patches": [
                {
                    "target": {"kind": "StatefulSet"},
                    "patch": yaml.safe_dump([place | {"value": self._storage_class}]),
                }
            ],
        }
        (self._folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        kubectl("apply", "--server-side", "-k", str(self._folder))
        for name in ours:
            self.kubectl("rollout", "status", f"deployment/{name}", "--timeout=90s")

    def uninstall(self) -> None:
        """With its namespace."""


@pytest.fixture
def plain(images: None, tmp_path: Path) -> Iterator[Installation]:
    try:
        kubectl("get", "namespace", "agentfleet")
    except CommandFailed:
        with (
            node.access() as machine,
            machine.volume() as storage_class,
            PlainInstallation(tmp_path, storage_class) as fleet,
        ):
            yield fleet
    else:
        pytest.fail("this story needs the namespace agentfleet, which is another's here")


def test_plain_manifests_bring_a_fleet_that_serves(plain: Installation) -> None:
    plain.simulate()
    plain.secret("anthropic", "any")
    plain.apply(tier(), pool("plain", worker={"image": f"agentfleet-worker:{TAG}"}))
    plain.apply(scripted("plain", "plain"), tenant_key("plainer"), budget("plainer", "1.00"))
    with plain.client("plainer") as client:
        assert client.submit("plain", script(0.1)).result(timeout=90).state == "succeeded"
