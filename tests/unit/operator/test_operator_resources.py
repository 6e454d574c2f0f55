"""A pool's revision becomes a Deployment; an overlay adds to it; what drifts is found by its path."""

from typing import Any

import pytest

from agentfleet_core.api.v1alpha1 import AgentPoolSpec, ModelTierSpec
from agentfleet_core.settings import FleetId, read_worker_settings
from agentfleet_operator.drift import first_difference, quantity
from agentfleet_operator.overlay import merged
from agentfleet_operator.resources import (
    PoolRevision,
    SecretKey,
    WorkerDefaults,
    deployment,
    provider_keys,
    template_revision,
)


def revision(spec: dict[str, Any] | None = None, **changes: Any) -> PoolRevision:
    given: dict[str, Any] = {
        "fleet": FleetId("agentfleet", "shop"),
        "pool": "interactive",
        "uid": "u-1",
        "revision": "abc123",
        "spec": AgentPoolSpec.model_validate(spec or {}),
        "provider_keys": (SecretKey("anthropic", "api-key"),),
        "defaults": WorkerDefaults(redis_url="redis://redis:6379/0"),
    }
    return PoolRevision(**(given | changes))


def tier(secret: str, rank: int = 1) -> ModelTierSpec:
    band = {"input": "1", "output": "1", "cacheRead": "1", "cacheWrite5m": "1", "cacheWrite1h": "1"}
    model = {"name": "m", "prices": [{"effectiveFrom": "2026-01-01", "bands": [band]}]}
    return ModelTierSpec.model_validate(
        {"rank": rank, "models": [model], "provider": {"apiKeySecretRef": {"name": secret, "key": "k"}}}
    )


@pytest.mark.parametrize(
    ("changes", "moves"),
    [
        ({}, False),
        ({"spec": AgentPoolSpec(concurrency=9)}, False),
        ({"defaults": WorkerDefaults(redis_url="redis://redis:6379/0", image="worker:2")}, True),
        ({"defaults": WorkerDefaults(redis_url="redis://redis:6379/0", service_account="other")}, True),
        ({"tiers": [tier("gateway")]}, True),
        ({"spec": AgentPoolSpec.model_validate({"terminationGracePeriodSeconds": 5})}, True),
    ],
)
def test_the_revision_moves_with_all_that_a_pod_is_made_of(changes: dict[str, Any], *, moves: bool) -> None:
    known: dict[str, Any] = {
        "fleet": FleetId("agentfleet", "shop"),
        "pool": "interactive",
        "spec": AgentPoolSpec(),
        "tiers": [tier("anthropic")],
        "defaults": WorkerDefaults(redis_url="redis://redis:6379/0"),
    }
    assert (template_revision(**(known | changes)) != template_revision(**known)) is moves


def pod(body: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = body["spec"]["template"]["spec"]
    return spec


def worker(body: dict[str, Any]) -> dict[str, Any]:
    [container] = [one for one in pod(body)["containers"] if one["name"] == "worker"]
    return container


def test_the_worker_reads_from_its_environment_what_the_operator_wrote_into_it() -> None:
    entries = worker(deployment(revision(), 1))["env"]
    environment = {one["name"]: one.get("value", "pod-1") for one in entries}

    settings = read_worker_settings(environment)

    assert (settings.pool, settings.revision, settings.worker_id) == ("interactive", "abc123", "pod-1")
    assert settings.common.fleet == FleetId("agentfleet", "shop")
    assert settings.common.redis_url == "redis://redis:6379/0"
    assert settings.grace_seconds < 60


@pytest.mark.parametrize("grace", [1, 2, 5, 9, 60, 86_400])
def test_a_worker_stops_waiting_before_the_kubelet_kills_it(grace: int) -> None:
    body = deployment(revision({"terminationGracePeriodSeconds": grace}), 1)
    environment = {one["name"]: one.get("value") for one in worker(body)["env"]}
    assert 0 < int(environment["AGENTFLEET_GRACE_SECONDS"] or "") <= grace
    assert pod(body)["terminationGracePeriodSeconds"] == grace


def test_a_worker_gets_no_token_and_no_right_that_it_does_not_need() -> None:
    body = deployment(revision(), 1)
    assert pod(body)["automountServiceAccountToken"] is False
    assert pod(body)["securityContext"]["runAsNonRoot"] is True
    assert worker(body)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_provider_keys_are_files_never_environment() -> None:
    body = deployment(revision(provider_keys=(SecretKey("a", "k"), SecretKey("b", "k"))), 1)
    [volume] = [one for one in pod(body)["volumes"] if one["name"] == "provider-keys"]
    items = [item for source in volume["projected"]["sources"] for item in source["secret"]["items"]]
    assert [one["path"] for one in items] == ["a/k", "b/k"]
    assert "secretKeyRef" not in str(worker(body)["env"])


def test_a_redis_password_comes_from_its_secret() -> None:
    defaults = WorkerDefaults("redis://:hidden@redis", SecretKey("redis", "url"))
    body = deployment(revision(defaults=defaults), 1)
    assert "hidden" not in str(body)
    [entry] = [one for one in worker(body)["env"] if one["name"].startswith("AGENTFLEET_REDIS_URL")]
    assert entry == {"name": "AGENTFLEET_REDIS_URL_FILE", "value": "/var/run/agentfleet/redis/url"}
    [volume] = [one for one in pod(body)["volumes"] if one["name"] == "redis"]
    assert volume["secret"]["secretName"] == "redis"


def test_a_worker_of_any_user_reads_its_secrets_without_root() -> None:
    body = pod(deployment(revision(), 1))
    assert body["securityContext"]["fsGroup"]
    [volume] = [one for one in body["volumes"] if one["name"] == "provider-keys"]
    assert volume["projected"]["defaultMode"] == 0o440


def test_a_pool_without_an_image_of_its_own_takes_the_installations() -> None:
    defaults = WorkerDefaults("redis://redis", image="registry.test/worker:1.2")
    assert worker(deployment(revision(defaults=defaults), 1))["image"] == "registry.test/worker:1.2"


def test_two_tiers_with_one_key_mount_it_once() -> None:
    tiers = [tier(name, rank) for rank, name in enumerate(("z", "a", "z"), start=1)]
    assert provider_keys(tiers) == (SecretKey("a", "k"), SecretKey("z", "k"))


def test_an_overlay_adds_and_changes_by_name_and_leaves_the_rest() -> None:
    overlay = {
        "metadata": {"annotations": {"team": "shop"}},
        "spec": {
            "nodeSelector": {"pool": "agents"},
            "containers": [
                {"name": "worker", "env": [{"name": "LANG", "value": "C"}]},
                {"name": "sidecar", "image": "proxy:1"},
            ],
        },
    }
    plain = deployment(revision(), 1)
    body = deployment(revision({"worker": {"image": "shop:1", "podOverlay": overlay}}), 1)

    assert body["spec"]["template"]["metadata"]["annotations"] == {"team": "shop"}
    assert body["spec"]["template"]["metadata"]["labels"] == plain["spec"]["template"]["metadata"]["labels"]
    assert [one["name"] for one in pod(body)["containers"]] == ["worker", "sidecar"]
    assert worker(body)["env"] == [*worker(plain)["env"], {"name": "LANG", "value": "C"}]
    assert pod(body)["nodeSelector"] == {"pool": "agents"}


def test_null_in_an_overlay_takes_a_key_away() -> None:
    assert merged({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": None}}) == {"a": 1, "b": {"d": 2}}


@pytest.mark.parametrize(
    ("declared", "live", "difference"),
    [
        ({"a": 1}, {"a": 1, "set by the server": 2}, ""),
        ({"a": 1}, {"a": 2}, ".a"),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, ".a.b[1]"),
        ({"a": [1]}, {"a": [1, 2]}, ".a"),
        ({"c": [{"name": "x", "v": 1}]}, {"c": [{"name": "y"}, {"name": "x", "v": 1}]}, ""),
        ({"c": [{"name": "x", "v": 1}]}, {"c": [{"name": "x", "v": 2}]}, ".c[x].v"),
        ({"c": [{"name": "x"}]}, {"c": []}, ".c[x]"),
        ({"requests": {"cpu": "0.5"}}, {"requests": {"cpu": "500m"}}, ""),
        ({"requests": {"cpu": "0.5"}}, {"requests": {"cpu": "600m"}}, ".requests.cpu"),
        ({"image": "1"}, {"image": "1000m"}, ".image"),
        ({"emptyDir": {}}, {}, ""),
        ({"readOnly": False}, {}, ""),
        ({"readOnly": True}, {}, ".readOnly"),
    ],
)
def test_a_difference_is_found_by_its_path(declared: Any, live: Any, difference: str) -> None:
    assert first_difference(declared, live) == difference


def test_quantities_are_compared_by_value() -> None:
    assert quantity("1Gi") == quantity("1024Mi") == quantity(str(2**30))
    assert quantity("100m") == quantity("0.1")
    assert quantity("none") is None
