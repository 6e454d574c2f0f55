"""The view of all objects: the newest version stays, whatever order events and lists come in."""

from typing import Any

import pytest

from agentfleet_core.errors import InvalidInput
from agentfleet_operator.settings import read_operator_settings
from agentfleet_operator.state import ClusterState
from agentfleet_operator.views import deployment_view, pod_view, replicas_manager

Json = dict[str, Any]


def body(name: str, version: int, *, uid: str = "", **parts: Any) -> Json:
    metadata = {"name": name, "namespace": "shop", "uid": uid or f"u-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata | parts.pop("metadata", {}), **parts}


def agent_pool(version: int, *, generation: int = 1, status: Json | None = None, uid: str = "") -> Json:
    made = body("interactive", version, uid=uid, spec={}, status=status or {})
    made["metadata"]["generation"] = generation
    return {"apiVersion": "agentfleet.dev/v1alpha1", "kind": "AgentPool", **made}


def deployment(version: int, replicas: int = 1, *, managers: list[Json] | None = None) -> Json:
    labels = {"agentfleet.dev/pool": "interactive", "agentfleet.dev/revision": "r1"}
    metadata = {"labels": labels, "generation": 1, "managedFields": managers or []}
    return body("interactive-r1", version, metadata=metadata, spec={"replicas": replicas})


async def test_an_older_event_changes_nothing() -> None:
    state = ClusterState()
    state.take("AgentPool", agent_pool(7, status={"desired": 2}))
    state.take("AgentPool", agent_pool(5))
    seen = state.fleet("shop").pool("interactive")
    assert seen is not None
    assert seen.status == {"desired": 2}


async def test_an_object_that_was_deleted_does_not_come_back_with_an_older_list() -> None:
    state = ClusterState()
    state.take("AgentPool", agent_pool(5))
    state.take("AgentPool", agent_pool(9), deleted=True)
    state.replace("AgentPool", [agent_pool(5)], 6)
    assert state.fleet("shop").pool("interactive") is None

    state.take("AgentPool", agent_pool(12, uid="another"))
    assert state.fleet("shop").pool("interactive") is not None


async def test_what_a_list_does_not_hold_is_gone_unless_it_is_newer() -> None:
    state = ClusterState()
    state.take("AgentPool", agent_pool(5))
    state.take("Deployment", deployment(8))
    state.replace("AgentPool", [], 7)
    state.replace("Deployment", [], 7)
    fleet = state.fleet("shop")
    assert fleet.pool("interactive") is None
    assert list(fleet.deployments["interactive"]) == ["interactive-r1"]


async def test_only_what_the_config_is_made_of_asks_for_a_new_config() -> None:
    state = ClusterState()
    fleet = state.fleet("shop")
    state.take("AgentPool", agent_pool(1))
    assert fleet.changes.config.is_set()
    fleet.changes.config.clear()
    fleet.changes.take_pools()

    state.take("AgentPool", agent_pool(2, status={"desired": 1}))
    state.take("Deployment", deployment(3))
    assert not fleet.changes.config.is_set()
    assert fleet.changes.take_pools() == {"interactive"}

    state.take("AgentPool", agent_pool(4, generation=2))
    assert fleet.changes.config.is_set()


async def test_of_the_secrets_only_those_in_use_ask_for_a_new_config() -> None:
    state = ClusterState()
    fleet = state.fleet("shop")
    fleet.secrets_in_use = frozenset({"acme-key"})
    state.take("Secret", body("unrelated", 1))
    assert not fleet.changes.config.is_set()
    state.take("Secret", body("acme-key", 2))
    assert fleet.changes.config.is_set()


async def test_an_object_that_cannot_be_read_is_kept_with_its_problem() -> None:
    state = ClusterState()
    broken = agent_pool(1) | {"spec": {"concurrency": "many"}}
    state.take("AgentPool", broken)
    seen = state.fleet("shop").pool("interactive")
    assert seen is not None
    assert seen.resource is None
    assert "concurrency" in seen.problem
    assert state.fleet("shop").readable() == []


def test_a_deployments_replicas_are_contested_by_whoever_else_owns_them() -> None:
    ours = {"manager": "agentfleet-operator", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    status = {"manager": "kube-controller-manager", "fieldsV1": {"f:status": {"f:replicas": {}}}}
    theirs = {
        "manager": "hpa", "time": "2026-11-24T12:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }  # fmt: skip
    assert replicas_manager([ours, status], "agentfleet-operator") == ("", None)
    manager, written = replicas_manager([ours, theirs], "agentfleet-operator")
    assert manager == "hpa"
    assert written is not None


def test_the_number_of_replicas_is_no_part_of_what_is_declared() -> None:
    one, three = deployment_view(deployment(1, 1), "m"), deployment_view(deployment(2, 3), "m")
    assert one is not None
    assert three is not None
    assert one.content == three.content


def test_a_pod_that_has_ended_is_no_worker() -> None:
    labels = {"labels": {"agentfleet.dev/pool": "interactive"}}
    assert pod_view(body("p", 1, metadata=labels, status={"phase": "Failed"})) is None
    assert pod_view(body("p", 1, metadata=labels, status={"phase": "Running"})) is not None
    assert pod_view(body("p", 1, status={})) is None


def test_settings_that_would_let_two_act_at_once_are_refused() -> None:
    with pytest.raises(InvalidInput, match="RENEW_DEADLINE"):
        read_operator_settings({"AGENTFLEET_RENEW_DEADLINE_SECONDS": "20"})


def test_settings_name_namespaces_and_the_secret_of_the_redis_url() -> None:
    settings = read_operator_settings(
        {
            "AGENTFLEET_WATCH_NAMESPACES": "shop, support,",
            "AGENTFLEET_WORKER_REDIS_URL_SECRET": "redis/url",
            "AGENTFLEET_OPERATOR_NAMESPACE": "fleet",
        }
    )
    assert settings.namespaces == ("shop", "support")
    assert settings.workers.redis_url_secret is not None
    assert settings.lease_namespace == "fleet"
    with pytest.raises(InvalidInput, match="name/key"):
        read_operator_settings({"AGENTFLEET_WORKER_REDIS_URL_SECRET": "redis"})


@pytest.mark.parametrize(
    ("kind", "what", "begun"),
    [
        ("AgentPool", agent_pool(1), True),
        ("Secret", body("agentfleet-admin", 1), True),
        ("Secret", body("anything", 1), False),
    ],
)
async def test_a_namespace_is_a_fleet_from_its_first_object_or_its_admin_key(
    kind: str, what: Json, *, begun: bool
) -> None:
    state = ClusterState()
    state.take(kind, what)
    assert (state.fleet("shop").begun, state.grown.is_set()) == (begun, begun)
