"""Manifests in, Deployments and a fleet config out; what drifts is repaired, what is wrong is said."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from tests.integration.operator.world import World, condition_of, manifest, secret, task_type, tier, world
from tests.servers.kube import KubeApiserver

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.fleet.config import key_hash
from agentfleet_core.fleet.store import ConfigFollower
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.planner.reasons import Reason

Json = dict[str, Any]


@pytest.fixture
async def here(kube: KubeApiserver, redis: RedisServer, namespace: str) -> AsyncIterator[World]:
    async with world(kube, redis.url, namespace) as made:
        made.start_operator()
        yield made


def replicas(deployment: Json) -> int:
    return int(deployment["spec"]["replicas"])


async def test_manifests_become_a_deployment_and_a_config(here: World) -> None:
    await here.create(secret("anthropic", **{"api-key": "provider-key"}))
    await here.create(secret("acme-key", **{"api-key": "acme-key-1"}))
    await here.create(tier("fast", "anthropic"))
    worker = {"image": "shop/agents:1", "resources": {"requests": {"cpu": "0.5", "memory": "256Mi"}}}
    await here.add_pool("interactive", worker=worker)
    await here.create(task_type("refund", "interactive", "fast"))
    limits = [{"name": "day", "period": "Day", "amount": "5.00"}]
    key = {"name": "acme-key", "key": "api-key"}
    await here.create(
        manifest("TenantBudget", "acme", {"tenant": "acme", "limits": limits, "apiKeySecretRef": key})
    )

    made = await here.deployment_of("interactive", lambda one: len(provider_files(one)) == 1)
    async with ConfigFollower(here.redis, FleetKeys(here.fleet_id)) as follower:
        async for config in follower.changes():
            if config.tenants and config.tenants["acme"].key_hashes and config.task_types:
                break
    status = (await here.until_one("TenantBudget", "acme", lambda one: one["status"].get("phase")))["status"]

    assert replicas(made) == 0
    assert made["metadata"]["ownerReferences"][0]["name"] == "interactive"
    assert provider_files(made) == ["anthropic/api-key"]
    assert made["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    assert config.pools["interactive"].revision == made["metadata"]["labels"]["agentfleet.dev/revision"]
    assert config.tenants["acme"].key_hashes == [key_hash(b"acme-key-1")]
    assert config.term >= 1
    assert "acme-key-1" not in config.model_dump_json()
    assert (status["phase"], status["limit"], status["resets"]) == ("Normal", "$5.00/day", "00:00 UTC")


def provider_files(deployment: Json) -> list[str]:
    [volume] = [v for v in deployment["spec"]["template"]["spec"]["volumes"] if v["name"] == "provider-keys"]
    sources = volume["projected"].get("sources") or []
    return [item["path"] for source in sources for item in source["secret"]["items"]]


async def test_a_reference_to_nothing_is_named_and_heals_by_itself(here: World) -> None:
    await here.create(task_type("refund", "interactive", "fast"))
    refused = await here.condition("TaskType", "refund", "Accepted", "False")
    assert refused["reason"] == "ReferenceNotFound"
    assert "interactive" in refused["message"]

    await here.create(secret("anthropic", **{"api-key": "k"}))
    await here.create(tier("fast", "anthropic"))
    await here.add_pool("interactive")

    assert (await here.condition("TaskType", "refund", "Accepted", "True"))["reason"] == "Accepted"
    told = await here.until("Event", lambda all_: any(one["reason"] == "ReferenceNotFound" for one in all_))
    assert any(one["involvedObject"]["name"] == "refund" and one["type"] == "Warning" for one in told)


async def test_a_first_task_wakes_an_empty_pool(here: World) -> None:
    await here.add_pool("interactive")
    await here.deployment_of("interactive", lambda one: replicas(one) == 0)

    await here.submit("interactive")

    await here.deployment_of("interactive", lambda one: replicas(one) == 1)
    seen = await here.until_one("AgentPool", "interactive", lambda one: one["status"].get("desired") == 1)
    assert (
        "agentfleet.dev/drain"
        in (await here.until_one("AgentPool", "interactive", lambda one: one["metadata"].get("finalizers")))[
            "metadata"
        ]["finalizers"]
    )
    assert seen["status"]["selector"] == "agentfleet.dev/pool=interactive"
    told = await here.until("Event", lambda all_: any("0 -> 1" in one["message"] for one in all_))
    assert {one["reason"] for one in told if "0 -> 1" in one["message"]} <= set(Reason)


async def test_a_changed_or_deleted_deployment_is_declared_again(here: World) -> None:
    await here.add_pool("interactive", worker={"image": "shop/agents:1"}, replicas=2)
    made = await here.deployment_of("interactive", lambda one: replicas(one) == 2)
    name = made["metadata"]["name"]

    foreign = [{"name": "worker", "image": "somebody/else:9", "command": ["sleep"]}]
    template = {"spec": {"containers": foreign}}
    await here.patch("Deployment", name, {"spec": {"template": template}})
    repaired = await here.deployment_of("interactive", lambda one: image(one) == "shop/agents:1")
    assert replicas(repaired) == 2
    assert repaired["spec"]["template"]["spec"]["containers"][0]["env"]

    await here.delete("Deployment", name)
    again = await here.deployment_of(
        "interactive", lambda one: one["metadata"]["uid"] != made["metadata"]["uid"]
    )
    assert (image(again), replicas(again)) == ("shop/agents:1", 2)


def image(deployment: Json) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


async def test_scale_pins_a_pool_and_unpin_frees_it(here: World) -> None:
    await here.add_pool("interactive", scaling={"stabilizationSeconds": 0, "idleSecondsToZero": 0})
    await here.deployment_of("interactive", lambda one: replicas(one) == 0)

    await here.patch("AgentPool", "interactive", {"spec": {"replicas": 3}}, sub="scale")
    await here.deployment_of("interactive", lambda one: replicas(one) == 3)
    pinned = await here.condition("AgentPool", "interactive", "Pinned", "True")
    assert "unpin" in pinned["message"]

    await here.patch("AgentPool", "interactive", {"spec": {"replicas": None}})
    await here.condition("AgentPool", "interactive", "Pinned", "False")
    await here.deployment_of("interactive", lambda one: replicas(one) == 0)


async def test_another_manager_of_the_replicas_is_named_and_not_fought(here: World) -> None:
    await here.add_pool("interactive", replicas=1)
    made = await here.deployment_of("interactive", lambda one: replicas(one) == 1)
    name = made["metadata"]["name"]

    await here.patch("Deployment", name, {"spec": {"replicas": 7}}, manager="horizontal-autoscaler")

    contested = await here.condition("AgentPool", "interactive", "ReplicasContested", "True")
    assert "horizontal-autoscaler" in contested["message"]
    await here.patch("AgentPool", "interactive", {"spec": {"replicas": 2}})
    await here.until_one("AgentPool", "interactive", lambda one: one["status"]["observedGeneration"] == 2)
    assert replicas((await here.items("Deployment"))[0]) == 7


async def test_what_the_api_server_refuses_of_a_pool_is_its_condition(here: World) -> None:
    mount = {"name": "worker", "volumeMounts": [{"name": "nowhere", "mountPath": "/data"}]}
    overlay = {"spec": {"containers": [mount]}}
    await here.add_pool("interactive", worker={"image": "shop/agents:1", "podOverlay": overlay})
    refused = await here.condition("AgentPool", "interactive", "Ready", "False")
    assert refused["reason"] == "DeploymentRefused"
    assert "nowhere" in refused["message"]

    volumes = {"volumes": [{"name": "nowhere", "emptyDir": {}}]}
    await here.patch("AgentPool", "interactive", {"spec": {"worker": {"podOverlay": {"spec": volumes}}}})

    made = await here.deployment_of("interactive", lambda one: True)
    mounts = made["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert {"/data", "/tmp", "/var/run/agentfleet/secrets"} == {one["mountPath"] for one in mounts}
    await here.condition("AgentPool", "interactive", "Ready", "True")


async def test_what_an_image_lacks_is_the_pools_condition_until_another_image_comes(here: World) -> None:
    await here.create(secret("anthropic", **{"api-key": "k"}))
    await here.create(tier("fast", "anthropic"))
    await here.add_pool("interactive", worker={"image": "shop/agents:1"})
    await here.create(task_type("refund", "interactive", "fast"))
    await here.condition("TaskType", "refund", "Accepted", "True")
    first = await here.deployment_of("interactive", lambda one: True)
    revision = first["metadata"]["labels"]["agentfleet.dev/revision"]
    why = "shop.agents:refund: module shop.agents has no refund"

    await here.queue("interactive").report(revision, "shop.agents:refund", why)
    found = await here.condition("AgentPool", "interactive", "Ready", "False")
    assert (found["reason"], found["message"]) == ("HandlerMissing", f"{why} (named by refund)")
    told = await here.until("Event", lambda all_: any(one["reason"] == "HandlerMissing" for one in all_))
    assert any(one["involvedObject"]["name"] == "interactive" and one["type"] == "Warning" for one in told)
    plan = orjson.loads(await here.redis.hget(FleetKeys(here.fleet_id).plans, "interactive"))
    assert "(HandlerMissing)" in plan["text"]

    await here.patch("AgentPool", "interactive", {"spec": {"worker": {"image": "shop/agents:2"}}})
    await here.condition("AgentPool", "interactive", "Ready", "True")


async def test_a_pod_that_does_not_come_up_is_told_by_why(here: World) -> None:
    await here.add_pool("interactive", scaling={"minReplicas": 1})
    made = await here.deployment_of("interactive", lambda one: replicas(one) == 1)
    await here.add_pod(made, "interactive-1")
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "shop/agents:1 was not found"}}
    container = {"name": "worker", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    status = {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [container | {"state": waiting}],
    }
    await here.patch("Pod", "interactive-1", {"status": status}, sub="status")
    await here.until_one(
        "AgentPool", "interactive", lambda one: condition_of(one, "Ready").get("reason") == "ImagePullBackOff"
    )
    text = orjson.loads(await here.redis.hget(FleetKeys(here.fleet_id).plans, "interactive"))["text"]
    assert text.splitlines()[-1] == "  trouble: shop/agents:1 was not found (ImagePullBackOff)"


async def test_with_nothing_changing_nothing_is_written_but_the_lease(here: World) -> None:
    await here.create(secret("anthropic", **{"api-key": "k"}))
    await here.create(tier("fast", "anthropic"))
    await here.add_pool("interactive", replicas=1)
    await here.create(task_type("refund", "interactive", "fast"))
    here.start_operator("second")
    made = await here.deployment_of("interactive", lambda one: replicas(one) == 1)
    await here.report_ready(made, 1)
    await here.condition("AgentPool", "interactive", "Ready", "True")
    await here.condition("TaskType", "refund", "Accepted", "True")
    await here.until("Event", lambda all_: any("-> 1" in one["message"] for one in all_))
    await renewals(here, 35)
    before = len(writes(here))

    await renewals(here, 10)

    assert writes(here)[before:] == []


def writes(here: World) -> list[str]:
    """Everything that operators wrote in the namespace, but Leases."""
    return [
        f"{event['verb']} {event['requestURI']}"
        for event in here.kube.audit()
        if event.get("userAgent") == "agentfleet-operator"
        and event["objectRef"].get("namespace") == here.namespace
        and event["objectRef"]["resource"] != "leases"
    ]


async def renewals(here: World, count: int) -> None:
    """Await that the Lease was renewed so many times."""
    seen: set[str] = set()

    def counted(leases: list[Json]) -> bool:
        seen.update(one["spec"]["renewTime"] for one in leases)
        return len(seen) > count

    await here.until("Lease", counted)
