"""`helm upgrade` under load: other values, and another image for every worker."""

import pytest
from tests.e2e.cluster import TAG, helm, until
from tests.e2e.installation import ONE_OF_EACH, Installation
from tests.e2e.manifests import budget, pool, script, scripted, tenant_key, tier

from agentfleet.models import TaskRequest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_an_upgrade_rolls_the_workers_and_fails_no_task(images: None) -> None:
    with Installation(values=ONE_OF_EACH) as fleet:
        fleet.simulate()
        fleet.secret("anthropic", "any")
        fleet.apply(tier(), pool("rolled", scaling={"minReplicas": 2}), scripted("rolled", "rolled"))
        fleet.apply(tenant_key("upgrader"), budget("upgrader", "10.00"))
        until("two workers", lambda: len(fleet.workers("rolled")) == 2)
        with fleet.client("upgrader") as client:
            tasks = [one.unwrap() for one in client.submit_many([TaskRequest("rolled", script(2))] * 12)]
            image = f"hello-worker:{TAG}"
            fleet.install(worker={"image": image}, coordinator={"replicas": 2})
            ended = [task.result(timeout=120) and task.refresh() for task in tasks]
        assert [(task.state, task.failures) for task in ended] == [("succeeded", 0)] * 12
        until("all workers run the new image", lambda: images_of("rolled", fleet) == {image})
        assert len(fleet.objects("pods", "-l", "app.kubernetes.io/name=agentfleet-coordinator")) == 2
        helm("test", fleet.release, "-n", fleet.namespace, "--timeout", "60s")


def images_of(name: str, fleet: Installation) -> set[str]:
    pods = fleet.objects("pods", "-l", f"agentfleet.dev/pool={name}")
    return {pod["spec"]["containers"][0]["image"] for pod in pods}
