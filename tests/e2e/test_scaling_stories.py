"""Pods come, follow the queue, stop, and go, and no task is lost by it."""

import pytest
from tests.e2e import node
from tests.e2e.cluster import AGENTFLEET, run, until
from tests.e2e.installation import Installation
from tests.e2e.manifests import budget, pool, script, scripted, tenant_key

from agentfleet.models import TaskRequest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def tenant(fleet: Installation, name: str, amount: str = "10.00") -> None:
    fleet.apply(tenant_key(name), budget(name, amount))


def test_a_burst_takes_a_pool_from_zero_to_its_maximum_and_back(shared: Installation) -> None:
    shared.apply(pool("burst"), scripted("burst", "burst"))
    tenant(shared, "burster")
    with shared.client("burster") as client:
        tasks = [one.unwrap() for one in client.submit_many([TaskRequest("burst", script(2))] * 12)]
        until("three workers at once", lambda: len(shared.workers("burst")) == 3)
        assert all(task.result(timeout=90).state == "succeeded" for task in tasks)
    until("zero again", lambda: not shared.workers("burst", ready=False))
    until("and said so", lambda: shared.condition("burst", "Ready").get("reason") == "ScaledToZero")


def test_a_spent_budget_stops_growth_and_parks_until_it_is_raised(shared: Installation) -> None:
    shared.apply(pool("frugal"), scripted("frugal", "frugal"))
    tenant(shared, "poor", "0.0000001")
    with shared.client("poor") as client:
        task = client.submit("frugal", script(0.1))
        until(
            "the task waits for money", lambda: task.refresh().state == "parked" or task.refresh().not_before
        )
        until("no worker is kept for it", lambda: not shared.workers("frugal", ready=False))
        tenant(shared, "poor", "1.00")
        assert task.result(timeout=90).state == "succeeded"


def test_a_pin_holds_a_pool_and_unpin_frees_it(shared: Installation) -> None:
    shared.apply(pool("pinned"))
    until("the pool is seen", lambda: shared.condition("pinned", "Pinned"))
    shared.kubectl("scale", "agentpool/pinned", "--replicas=2")
    until("two workers without any work", lambda: len(shared.workers("pinned")) == 2)
    assert shared.condition("pinned", "Pinned")["reason"] == "PinnedBySpec"
    run([AGENTFLEET, "unpin", "pinned", "-n", shared.namespace])
    until("the planner lets both go", lambda: not shared.workers("pinned", ready=False))


def test_a_changed_deployment_is_repaired(shared: Installation) -> None:
    shared.apply(pool("drifting", scaling={"minReplicas": 1}))
    until("its worker is ready", lambda: shared.workers("drifting"))
    [deployment] = shared.objects("deployments", "-l", "agentfleet.dev/pool=drifting")
    name = deployment["metadata"]["name"]
    shared.kubectl("set", "env", f"deployment/{name}", "AGENTFLEET_POOL=another")

    def is_as_declared() -> bool:
        [now] = shared.objects("deployments", name)
        env = {
            one["name"]: one.get("value") for one in now["spec"]["template"]["spec"]["containers"][0]["env"]
        }
        return env["AGENTFLEET_POOL"] == "drifting"

    until("the pool's name is its own again", is_as_declared)
    shared.kubectl("delete", "deployment", name)
    until("it is made anew", lambda: shared.workers("drifting"))
    shared.kubectl("delete", "agentpool", "drifting", "--timeout=60s")
    until("its workers went with it", lambda: not shared.workers("drifting", ready=False))


def test_deleted_and_killed_workers_lose_no_task(shared: Installation) -> None:
    shared.apply(pool("mortal", concurrency=2), scripted("mortal", "mortal"))
    tenant(shared, "patient")
    with shared.client("patient") as client:
        tasks = [one.unwrap() for one in client.submit_many([TaskRequest("mortal", script(3))] * 16)]
        victims = until("two workers are busy", lambda: _at_least(2, shared.workers("mortal")))
        shared.kubectl("delete", "pod", victims[0], "--wait=false")
        shared.kubectl("delete", "pod", victims[1], "--force", "--grace-period=0")
        assert [task.result(timeout=120).state for task in tasks] == ["succeeded"] * 16


def test_workers_killed_inside_their_pods_lose_no_task(shared: Installation) -> None:
    shared.apply(pool("killed", concurrency=2), scripted("killed", "killed"))
    tenant(shared, "stoic")
    with node.access() as machine, shared.client("stoic") as client:
        tasks = [one.unwrap() for one in client.submit_many([TaskRequest("killed", script(3))] * 16)]
        until("two workers are busy", lambda: _at_least(2, shared.workers("killed")))
        victims = shared.objects("pods", "-l", "agentfleet.dev/pool=killed")[:2]
        for pod in victims:
            machine.kill(pod, "agentfleet_worker")
        assert [task.result(timeout=120).state for task in tasks] == ["succeeded"] * 16
        assert any(task.refresh().attempt > 1 for task in tasks)


def test_a_killed_leader_is_replaced_in_mid_scale(shared: Installation) -> None:
    shared.apply(pool("led"), scripted("led", "led"))
    tenant(shared, "follower")
    [lease] = shared.objects("lease", f"{shared.release}-operator")
    leader = lease["spec"]["holderIdentity"].rsplit("_", 1)[0]
    with shared.client("follower") as client:
        tasks = [one.unwrap() for one in client.submit_many([TaskRequest("led", script(3))] * 9)]
        shared.kubectl("delete", "pod", leader, "--force", "--grace-period=0")
        assert all(task.result(timeout=120).state == "succeeded" for task in tasks)
    [lease] = shared.objects("lease", f"{shared.release}-operator")
    assert not lease["spec"]["holderIdentity"].startswith(leader)
    until("zero again, by the new leader", lambda: not shared.workers("led", ready=False))


def test_a_rollout_under_load_fails_no_task(shared: Installation) -> None:
    shared.apply(pool("rolling", scaling={"minReplicas": 2}), scripted("rolling", "rolling"))
    tenant(shared, "steady")
    until("two workers", lambda: len(shared.workers("rolling")) == 2)
    before = set(shared.workers("rolling"))
    with shared.client("steady") as client:
        tasks = [one.unwrap() for one in client.submit_many([TaskRequest("rolling", script(2))] * 12)]
        [deployment] = shared.objects("deployments", "-l", "agentfleet.dev/pool=rolling")
        shared.kubectl("rollout", "restart", f"deployment/{deployment['metadata']['name']}")
        ended = [task.result(timeout=120) and task.refresh() for task in tasks]
    assert [(task.state, task.failures) for task in ended] == [("succeeded", 0)] * 12
    until("all are new", lambda: not before & set(shared.workers("rolling", ready=False)))
    shared.kubectl("delete", "agentpool", "rolling", "--timeout=60s")


def test_busy_workers_shrink_without_one_interrupted_task(shared: Installation) -> None:
    """Twenty are busy with tasks longer than the default grace period when only three are wanted."""
    shared.apply(
        pool("crowd", replicas=20, scaling={"maxReplicas": 20}, terminationGracePeriodSeconds=120),
        scripted("crowd", "crowd", timeouts={"taskSeconds": 300, "stepSeconds": 250, "llmCallSeconds": 200}),
    )
    tenant(shared, "crowder")
    until("twenty workers", lambda: len(shared.workers("crowd")) == 20, seconds=240)
    with shared.client("crowder") as client:
        tasks = [one.unwrap() for one in client.submit_many([TaskRequest("crowd", script(70))] * 20)]
        until("twenty run", lambda: all(task.refresh().state == "running" for task in tasks))
        shared.kubectl("scale", "agentpool/crowd", "--replicas=3")
        ended = [task.result(timeout=200) and task.refresh() for task in tasks]
    assert [(task.state, task.attempt) for task in ended] == [("succeeded", 1)] * 20
    until("three are left", lambda: len(shared.workers("crowd", ready=False)) == 3)
    shared.kubectl("delete", "agentpool", "crowd", "--timeout=60s")


def _at_least(number: int, names: list[str]) -> list[str] | None:
    return names if len(names) >= number else None
