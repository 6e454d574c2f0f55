"""What the chart renders, for every switch: least rights, no secret in sight, checked values."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.e2e.cluster import CommandFailed, run
from tests.e2e.installation import CHART

pytestmark = pytest.mark.e2e

Json = dict[str, Any]
SWITCHES: list[Json] = [
    {},
    {"scope": "Cluster"},
    {"redis": {"bundled": False, "secret": "mine"}},
    {"redis": {"persistence": {"enabled": False}}},
    {"coordinator": {"replicas": 1}, "operator": {"replicas": 1}},
    {"monitoring": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}},
    {"networkPolicy": {"enabled": False}},
    {"crds": {"enabled": False}},
]


def rendered(values: Json) -> list[Json]:
    text = run(
        [
            "helm",
            "template",
            "af",
            CHART,
            "--namespace",
            "fleet",
            "--kube-version",
            "1.34.0",
            "--values",
            "-",
        ],
        given=json.dumps(values),
    )
    return [one for one in yaml.safe_load_all(text) if one]


def pods(objects: list[Json]) -> Iterator[Json]:
    for one in objects:
        if one["kind"] == "Pod":
            yield one["spec"]
        elif "template" in one.get("spec", {}):
            yield one["spec"]["template"]["spec"]


def test_the_chart_lints() -> None:
    run(["helm", "lint", "--strict", CHART])


@pytest.mark.parametrize("values", SWITCHES, ids=json.dumps)
def test_no_role_has_a_wildcard_and_no_role_writes_secrets(values: Json) -> None:
    for role in rendered(values):
        for rule in role.get("rules", ()) if role["kind"] in ("Role", "ClusterRole") else ():
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            if "secrets" in rule["resources"]:
                assert set(rule["verbs"]) <= {"get", "list", "watch"}


@pytest.mark.parametrize("values", SWITCHES, ids=json.dumps)
def test_every_pod_is_restricted(values: Json) -> None:
    found = list(pods(rendered(values)))
    assert found
    for pod in found:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("values", SWITCHES, ids=json.dumps)
def test_no_secret_is_in_an_environment_or_an_argument(values: Json) -> None:
    for pod in pods(rendered(values)):
        assert "secretKeyRef" not in json.dumps(pod)
        assert "redis://" not in json.dumps(pod)


def test_a_namespaced_installation_has_no_right_in_the_cluster() -> None:
    kinds = {one["kind"] for one in rendered({})}
    assert not {"ClusterRole", "ClusterRoleBinding"} & kinds


def test_only_operator_and_uninstaller_mount_a_token() -> None:
    mounting = {
        pod["containers"][0]["name"] for pod in pods(rendered({})) if pod["automountServiceAccountToken"]
    }
    assert mounting == {"operator", "uninstall"}


def test_definitions_are_kept_when_the_release_goes() -> None:
    kept = [
        one["metadata"]["annotations"] for one in rendered({}) if one["kind"] == "CustomResourceDefinition"
    ]
    assert [one["helm.sh/resource-policy"] for one in kept] == ["keep"] * 4


WRONG: list[tuple[Json, str]] = [
    ({"coordinator": {"replica": 3}}, "'replica' not allowed"),
    ({"scope": "Everything"}, "/scope"),
    ({"operator": {"replicas": "two"}}, "/operator/replicas"),
    ({"redis": {"appendfsync": "sometimes"}}, "/redis/appendfsync"),
    ({"redis": {"bundled": False}}, "set redis.secret"),
]


@pytest.mark.parametrize(("values", "words"), WRONG)
def test_a_wrong_value_is_refused(values: Json, words: str) -> None:
    with pytest.raises(CommandFailed, match=words):
        rendered(values)
