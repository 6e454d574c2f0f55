"""The manifests for people without Helm: `kubectl apply -k deploy/namespaced`, or `deploy/cluster`.

`python tools/plain_manifests.py charts/agentfleet deploy KUBE_VERSION` makes them of the chart; its hooks
and tests are left out, and so are Secrets: a random value in a file that everybody shares would be none.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

RELEASE, NAMESPACE = "agentfleet", "agentfleet"
SCOPES = {"namespaced": "Namespace", "cluster": "Cluster"}
CHOSEN = {"crds.enabled": "false", "adminKey.create": "false", "redis.secret": "agentfleet-redis"}
HEAD = "# Generated from charts/agentfleet by `make generate`. Do not edit; make an overlay.\n"
HELM_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by")


def rendered(chart: Path, scope: str, kube_version: str) -> Iterator[dict[str, Any]]:
    values = [f"--set={key}={value}" for key, value in (CHOSEN | {"scope": scope}).items()]
    text = subprocess.run(
        ["helm", "template", RELEASE, str(chart), f"--namespace={NAMESPACE}",
         f"--kube-version={kube_version}", "--no-hooks", "--skip-tests", *values],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for found in yaml.safe_load_all(text):
        if found:
            for label in HELM_LABELS:
                found["metadata"].get("labels", {}).pop(label, None)
            yield found


def main(chart: Path, place: Path, kube_version: str) -> None:
    for folder, scope in SCOPES.items():
        out = place / folder
        out.mkdir(parents=True, exist_ok=True)
        (out / "install.yaml").write_text(HEAD + yaml.safe_dump_all(rendered(chart, scope, kube_version)))
        resources = ["namespace.yaml", "../crds", "install.yaml"]
        kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
        (out / "kustomization.yaml").write_text(
            HEAD + yaml.safe_dump(kustomization | {"resources": resources}, sort_keys=False)
        )
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
        (out / "namespace.yaml").write_text(HEAD + yaml.safe_dump(space, sort_keys=False))
    crds = sorted((chart / "files" / "crds").glob("*.yaml"))
    folder_of_crds = place / "crds"
    folder_of_crds.mkdir(exist_ok=True)
    for crd in crds:
        (folder_of_crds / crd.name).write_text(crd.read_text())
    listing = {"resources": [one.name for one in crds]}
    kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    (folder_of_crds / "kustomization.yaml").write_text(
        HEAD + yaml.safe_dump(kustomization | listing, sort_keys=False)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
