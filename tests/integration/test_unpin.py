"""`agentfleet unpin` against a real API server."""

from pathlib import Path

import pytest
from tests.manifests.table import good
from tests.servers.build import programs
from tests.servers.kube import KubeApiserver
from typer.testing import CliRunner, Result

from agentfleet_cli.main import app


@pytest.fixture
def pools(namespace: str) -> str:
    return f"/apis/agentfleet.dev/v1alpha1/namespaces/{namespace}/agentpools"


@pytest.fixture(autouse=True)
def kubectl_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kubectl").symlink_to(programs("kubectl")["kubectl"])
    monkeypatch.setenv("PATH", str(folder))


def unpin(kube: KubeApiserver, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["unpin", *arguments], env={"KUBECONFIG": str(kube.kubeconfig)})


def test_a_pinned_pool_is_the_planners_again(kube: KubeApiserver, namespace: str, pools: str) -> None:
    manifest = good("AgentPool")
    manifest["spec"]["replicas"] = 3
    kube.http.post(pools, json=manifest).raise_for_status()
    name = manifest["metadata"]["name"]
    first = unpin(kube, f"pool/{name}", "-n", namespace)
    assert (first.exit_code, first.stdout) == (0, f"pool/{name} is unpinned; it was held at 3\n")
    assert "replicas" not in kube.http.get(f"{pools}/{name}").json()["spec"]
    second = unpin(kube, name, "-n", namespace, "-o", "json")
    assert second.stdout == f'{{"pool": "{name}", "was_pinned_at": null}}\n'


def test_a_pool_that_is_not_there_is_named(kube: KubeApiserver, namespace: str) -> None:
    result = unpin(kube, "nobody", "-n", namespace)
    assert result.exit_code == 3
    assert result.stderr == f"error: AgentPool {namespace}/nobody does not exist\n"


def test_without_a_cluster_it_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["unpin", "a"], env={"KUBECONFIG": str(tmp_path / "none")})
    assert result.exit_code == 5
    assert "remove spec.replicas from the file" in result.stderr


def test_without_kubectl_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(app, ["unpin", "a"])
    assert result.exit_code == 5
    assert "unpin needs kubectl on PATH" in result.stderr
