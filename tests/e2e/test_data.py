"""What was accepted outlives the process of Redis, its pod, and an uninstallation."""

from collections.abc import Iterator

import pytest
from tests.e2e import node
from tests.e2e.cluster import TAG, until
from tests.e2e.installation import ONE_OF_EACH, Installation
from tests.e2e.manifests import budget, pool, script, scripted, tenant_key, tier

from agentfleet.models import TaskRequest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def on_disk(images: None) -> Iterator[tuple[node.Node, Installation]]:
    with node.access() as machine, machine.volume() as storage_class:
        persistence = {"enabled": True, "storageClass": storage_class}
        redis = {"redis": {"image": f"agentfleet-redis:{TAG}", "persistence": persistence}}
        with Installation(values=ONE_OF_EACH | redis) as fleet:
            fleet.simulate()
            fleet.secret("anthropic", "any")
            fleet.apply(pool("going", concurrency=4), scripted("going", "going"))
            fleet.apply(pool("resting", replicas=0), scripted("resting", "resting"))
            fleet.apply(tier(), tenant_key("keeper"), budget("keeper", "10.00"))
            yield machine, fleet


def test_a_killed_redis_loses_no_task(on_disk: tuple[node.Node, Installation]) -> None:
    machine, fleet = on_disk
    with fleet.client("keeper") as client:
        tasks = [one.unwrap() for one in client.submit_many([TaskRequest("going", script(2))] * 16)]
        until("some run", lambda: any(task.refresh().state == "running" for task in tasks))
        [redis] = fleet.objects("pods", "af-redis-0")
        machine.kill(redis, "redis-server")
        assert [task.result(timeout=120).state for task in tasks] == ["succeeded"] * 16
    [redis] = fleet.objects("pods", "af-redis-0")
    assert redis["status"]["containerStatuses"][0]["restartCount"] == 1


def test_what_waits_outlives_the_pod_of_redis_and_an_uninstallation(
    on_disk: tuple[node.Node, Installation],
) -> None:
    _, fleet = on_disk
    with fleet.client("keeper") as client:
        accepted = [one.unwrap().id for one in client.submit_many([TaskRequest("resting", script(0.1))] * 5)]
    fleet.kubectl("delete", "pod", "af-redis-0", "--wait")
    fleet.uninstall()
    fleet.install()
    fleet.kubectl("patch", "agentpool/resting", "--type=merge", "-p", '{"spec": {"replicas": null}}')
    with fleet.client("keeper") as client:
        tasks = [client.get(task_id) for task_id in accepted]
        assert [task.result(timeout=90).state for task in tasks] == ["succeeded"] * 5
