"""A Redis of the user's, over TLS and with an ACL user: for two installations, or for a whole cluster."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.cluster import TAG, apply, kubectl, run, until
from tests.e2e.installation import HARDENED, ONE_OF_EACH, Installation
from tests.e2e.manifests import budget, pool, script, scripted, tenant_key, tier

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

FILES = "/etc/redis-tls"
SERVER = (
    f"redis-server --port 0 --tls-port 6380 --tls-cert-file {FILES}/tls.crt --tls-key-file {FILES}/tls.key "
    f"--tls-ca-cert-file {FILES}/ca.crt --tls-auth-clients no --aclfile {FILES}/users.acl --appendonly no "
    "--maxmemory-policy noeviction"
)
ACL = """
user default off ~* &* +@all
user fleet on >s3cret-enough ~* &* +@all -@admin -@dangerous +info +client
"""


@pytest.fixture
def own_redis(tmp_path: Path, images: None) -> Iterator[dict[str, Any]]:
    """The Secret that names it, as each installation's namespace needs it."""
    namespace = f"redis-{uuid.uuid4().hex[:8]}"
    host = f"redis.{namespace}.svc"
    certificate(tmp_path, host)
    kubectl("create", "namespace", namespace)
    files = {name: (tmp_path / name).read_text() for name in ("tls.crt", "tls.key", "ca.crt")}
    labels = {"app": "redis"}
    container = {
        "name": "redis",
        "image": f"agentfleet-redis:{TAG}",
        "command": SERVER.split(),
        "securityContext": HARDENED,
        "volumeMounts": [{"name": "files", "mountPath": FILES}, {"name": "data", "mountPath": "/data"}],
        "workingDir": "/data",
        "readinessProbe": {"tcpSocket": {"port": 6380}, "periodSeconds": 1},
    }
    volumes = [{"name": "files", "secret": {"secretName": "files"}}, {"name": "data", "emptyDir": {}}]
    manifests: list[dict[str, Any]] = [
        secret("files", files | {"users.acl": ACL}),
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "redis", "labels": labels},
         "spec": {"securityContext": {"fsGroup": 65532}, "containers": [container], "volumes": volumes}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "redis"},
         "spec": {"selector": labels, "ports": [{"port": 6380}]}},
    ]  # fmt: skip
    apply(*manifests, namespace=namespace)
    kubectl("-n", namespace, "wait", "pod/redis", "--for=condition=Ready", "--timeout=60s")
    ca = "/var/run/agentfleet/redis/ca.crt"
    url = f"rediss://fleet:s3cret-enough@{host}:6380/0?ssl_ca_certs={ca}"
    yield secret("own-redis", {"url": url, "ca.crt": files["ca.crt"]})
    kubectl("delete", "namespace", namespace, "--wait=false")


OWN = ONE_OF_EACH | {"redis": {"bundled": False, "secret": "own-redis"}}


def test_two_installations_share_a_redis_with_tls_and_acl(own_redis: dict[str, Any]) -> None:
    with (
        Installation(values=OWN | {"install": "one"}, before=[own_redis]) as one,
        Installation(values=OWN | {"install": "two"}, before=[own_redis]) as two,
    ):
        each_does_its_own_tasks(one, two)


def test_one_operator_serves_every_namespace(own_redis: dict[str, Any]) -> None:
    """Of scope Cluster; the second namespace has a coordinator alone."""
    values = OWN | {"install": "wide"}
    without = values | {"operator": {"replicas": 0}}
    with (
        Installation(values=values | {"scope": "Cluster"}, before=[own_redis]) as one,
        Installation(values=without, before=[own_redis]) as two,
    ):
        each_does_its_own_tasks(one, two)


def test_a_fleet_waits_for_the_secret_of_its_redis(own_redis: dict[str, Any]) -> None:
    missing = 'secret "own-redis" not found'
    with Installation(values=OWN, wait=False) as fleet:
        until(
            "the pods say what is missing",
            lambda: any(missing in event.get("message", "") for event in fleet.objects("events")),
        )
        fleet.apply(own_redis)
        for name in ("af-operator", "af-coordinator"):
            fleet.kubectl("rollout", "status", f"deployment/{name}", "--timeout=90s")


def each_does_its_own_tasks(one: Installation, two: Installation) -> None:
    for fleet in (one, two):
        fleet.simulate()
        fleet.secret("anthropic", "any")
        fleet.apply(tier(), pool("same"), scripted("same", "same"))
        fleet.apply(tenant_key("same"), budget("same", "1.00"))
    with one.client("same") as here, two.client("same") as there:
        mine, theirs = here.submit("same", script(0.1)), there.submit("same", script(0.1))
        assert mine.result(timeout=90).state == theirs.result(timeout=90).state == "succeeded"
        assert [task.id for task in here.list().items] == [mine.id]
        assert [task.id for task in there.list().items] == [theirs.id]


def secret(name: str, values: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def certificate(folder: Path, host: str) -> None:
    """ca.crt, and tls.crt with tls.key for the host, signed by it."""
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    ca = ["-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.crt"]
    run(["openssl", "req", "-x509", *ec, "-subj", "/CN=stories", *ca])
    signer = [
        "-CA",
        f"{folder}/ca.crt",
        "-CAkey",
        f"{folder}/ca.key",
        "-addext",
        f"subjectAltName=DNS:{host}",
    ]
    tls = ["-keyout", f"{folder}/tls.key", "-out", f"{folder}/tls.crt"]
    run(["openssl", "req", "-x509", *ec, *signer, "-subj", f"/CN={host}", *tls])
