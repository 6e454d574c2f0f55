"""The operator does all of its work with the rights that it is installed with, answers its probes, and leaves
cleanly.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from tests.integration.operator.world import World, secret, task_type, tier, world
from tests.servers.kube import KubeApiserver

from agentfleet_cli.local.redis_server import RedisServer, free_port

INSTALL = Path(__file__).parents[3] / "deploy" / "cluster" / "install.yaml"
RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


@pytest.fixture
async def here(kube: KubeApiserver, redis: RedisServer, namespace: str) -> AsyncIterator[World]:
    async with world(kube, redis.url, namespace) as made:
        yield made


def grants(namespace: str) -> Iterator[dict[str, object]]:
    """The rights as shipped, under names of this test alone."""
    text = INSTALL.read_text().replace("namespace: agentfleet\n", f"namespace: {namespace}\n")
    text = text.replace("name: agentfleet-agentfleet-operator\n", f"name: {namespace}-operator\n")
    text = text.replace("name: agentfleet-operator\n", f"name: {namespace}-operator\n")
    yield from (one for one in yaml.safe_load_all(text) if one["kind"] in RIGHTS)


async def kubeconfig(here: World) -> Path:
    """Of a service account with those rights alone."""
    for document in grants(here.namespace):
        done = await asyncio.to_thread(here.kube.kubectl, "apply", "-f", "-", stdin=yaml.safe_dump(document))
        assert done.returncode == 0, done.stderr
    account = f"/api/v1/namespaces/{here.namespace}/serviceaccounts/{here.namespace}-operator/token"
    answer = await here.http.post(
        account, json={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
    )
    config = yaml.safe_load(here.kube.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": answer.raise_for_status().json()["status"]["token"]}
    path = here.folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


async def test_the_shipped_rights_suffice_for_everything(here: World) -> None:
    port = free_port()
    config = await kubeconfig(here)
    operator = here.start_operator(KUBECONFIG=str(config), AGENTFLEET_METRICS_PORT=str(port))
    await here.create(secret("anthropic", **{"api-key": "k"}))
    await here.create(tier("fast", "anthropic"))
    await here.add_pool("interactive", worker={"image": "shop/agents:1"})
    await here.create(task_type("refund", "interactive", "fast"))
    await here.condition("TaskType", "refund", "Accepted", "True")
    await here.submit("interactive")
    made = await here.deployment_of("interactive", lambda one: one["spec"]["replicas"] == 1)
    await here.add_pod(made, "worker-a")
    await here.report_ready(made, 1)
    await here.until("Event", lambda all_: any("0 -> 1" in one["message"] for one in all_))
    await here.until_one("AgentPool", "interactive", lambda one: one["metadata"].get("finalizers"))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as probes:
        answers = [(await probes.get(path)).status_code for path in ("/healthz", "/readyz")]
        metrics = (await probes.get("/metrics")).text

    await here.patch("AgentPool", "interactive", {"spec": {"worker": {"image": "shop/agents:2"}}})
    both = await here.until("Deployment", lambda all_: len(all_) == 2)
    [new] = [one for one in both if one["metadata"]["uid"] != made["metadata"]["uid"]]
    await here.report_ready(new, 1)
    await here.until_one("Pod", "worker-a", lambda one: one["metadata"].get("annotations"))
    await here.delete("Pod", "worker-a")
    await here.until("Deployment", lambda all_: len(all_) == 1)
    await here.delete("AgentPool", "interactive")
    await here.until_gone("AgentPool", "interactive")

    assert answers == [200, 200]
    assert "agentfleet_operator_leader 1.0" in metrics
    assert 'agentfleet_pool_replicas_wanted{pool="interactive"} 1.0' in metrics
    log = operator.log.read_text()
    assert "403" not in log
    assert "orbidden" not in log


async def test_uninstalling_frees_pools_that_no_operator_is_left_to_free(here: World) -> None:
    operator = here.start_operator()
    await here.add_pool("interactive", replicas=1)
    await here.until_one("AgentPool", "interactive", lambda one: one["metadata"].get("finalizers"))
    operator.process.terminate()
    await operator.ended()

    command = [sys.executable, "-m", "agentfleet_operator.uninstall"]
    settings = {
        "KUBECONFIG": str(here.kube.kubeconfig),
        "AGENTFLEET_WATCH_NAMESPACES": here.namespace,
        "KUBERNETES_SERVICE_HOST": "a pod that knows no Redis",
    }
    done = await asyncio.to_thread(subprocess.run, command, env=settings, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    await here.delete("AgentPool", "interactive")
    await here.until_gone("AgentPool", "interactive")
