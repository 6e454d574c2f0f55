"""PURE. A pool's revision to the Deployment that runs its workers.

The pod template depends on the pool's spec, on which provider keys the fleet's tiers name, and on what the
installation gives to every worker, on nothing else: neither a tenant nor a limit nor a price replaces a pod.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentfleet_core.api.v1alpha1 import API_VERSION, AgentPoolSpec, ModelTierSpec
from agentfleet_core.api.v1alpha1.agent_pool import Worker
from agentfleet_core.fleet.revision import pool_revision
from agentfleet_core.settings import SECRETS_DIR, FleetId
from agentfleet_operator.overlay import merged
from agentfleet_operator.views import POOL_LABEL, REVISION_LABEL

Json = dict[str, Any]

PROBE_PORT = 9090
REDIS_DIR = "/var/run/agentfleet/redis"
FILES_GROUP = 65_532
"""Mounted secrets belong to it, so that a worker of any user can read them without being root."""
DEFAULT_IMAGE = Worker().image
SETTLE_SECONDS = 5
"""What a worker leaves of its grace period: handing back and leaving must fit into it."""


@dataclass(frozen=True, slots=True)
class SecretKey:
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class WorkerDefaults:
    """What the installation gives to every worker."""

    redis_url: str
    redis_url_secret: SecretKey | None = None
    """Mounted as a file where the URL holds a password; then `redis_url` is not shown to them."""
    service_account: str = "default"
    image: str = DEFAULT_IMAGE
    """Of pools that leave spec.worker.image at its default."""
    image_pull_policy: str = ""
    """Empty: Kubernetes' own rule by the tag."""
    log_format: str = "json"


@dataclass(frozen=True, slots=True)
class PoolRevision:
    """All that one Deployment is made of, but its number of replicas."""

    fleet: FleetId
    pool: str
    uid: str
    """The AgentPool's."""
    revision: str
    spec: AgentPoolSpec
    provider_keys: tuple[SecretKey, ...]
    defaults: WorkerDefaults

    @property
    def name(self) -> str:
        return deployment_name(self.pool, self.revision)


def deployment_name(pool: str, revision: str) -> str:
    return f"{pool}-{revision}"


def provider_keys(tiers: Iterable[ModelTierSpec]) -> tuple[SecretKey, ...]:
    """The Secret keys that the tiers name, sorted, each once."""
    refs = {
        (ref.name, ref.key) for ref in (tier.provider.api_key_secret_ref for tier in tiers) if ref is not None
    }
    return tuple(SecretKey(name, key) for name, key in sorted(refs))


def template_revision(
    fleet: FleetId, pool: str, spec: AgentPoolSpec, tiers: Iterable[ModelTierSpec], defaults: WorkerDefaults
) -> str:
    """Of all that the pod template is made of: no change of it may be left to the Deployment's own rolling
    update, which stops busy workers as readily as idle ones.
    """
    bare = PoolRevision(fleet, pool, "", "", spec, provider_keys(tiers), defaults)
    return pool_revision(spec, _template(bare))


def selector(pool: str, revision: str) -> dict[str, str]:
    return {POOL_LABEL: pool, REVISION_LABEL: revision}


def deployment(of: PoolRevision, replicas: int | None) -> Json:
    """The whole of what the operator declares, for a server-side apply; replicas None: another's to say."""
    template = merged(_template(of), of.spec.worker.pod_overlay)
    number = {} if replicas is None else {"replicas": replicas}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": of.name,
            "namespace": of.fleet.namespace,
            "labels": _labels(of),
            "ownerReferences": [_owner(of)],
        },
        "spec": {
            **number,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": selector(of.pool, of.revision)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": template,
        },
    }


def _labels(of: PoolRevision) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "agentfleet-worker",
        "app.kubernetes.io/part-of": "agentfleet",
        "app.kubernetes.io/managed-by": "agentfleet-operator",
        **selector(of.pool, of.revision),
    }


def _owner(of: PoolRevision) -> Json:
    return {
        "apiVersion": API_VERSION,
        "kind": "AgentPool",
        "name": of.pool,
        "uid": of.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _template(of: PoolRevision) -> Json:
    return {
        "metadata": {"labels": _labels(of)},
        "spec": {
            "serviceAccountName": of.defaults.service_account,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": of.spec.termination_grace_period_seconds,
            "securityContext": {
                "runAsNonRoot": True,
                "fsGroup": FILES_GROUP,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(of)],
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                _secrets_volume(of.provider_keys),
                *_redis_volume(of.defaults.redis_url_secret),
            ],
        },
    }


def _container(of: PoolRevision) -> Json:
    container: Json = {
        "name": "worker",
        "image": _image(of),
        "command": ["python", "-m", "agentfleet_worker"],
        "env": _environment(of),
        "ports": [{"name": "metrics", "containerPort": PROBE_PORT, "protocol": "TCP"}],
        # Whatever a worker says last becomes the pool's condition when it cannot start.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "livenessProbe": _probe("/healthz", period_seconds=10, failures=6),
        "readinessProbe": _probe("/readyz", period_seconds=2, failures=3),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
            {"name": "provider-keys", "mountPath": SECRETS_DIR, "readOnly": True},
        ],
    }
    if of.defaults.redis_url_secret is not None:
        container["volumeMounts"].append({"name": "redis", "mountPath": REDIS_DIR, "readOnly": True})
    if of.defaults.image_pull_policy:
        container["imagePullPolicy"] = of.defaults.image_pull_policy
    resources = of.spec.worker.resources.model_dump(mode="json", exclude_defaults=True)
    return container | ({"resources": resources} if resources else {})


def _image(of: PoolRevision) -> str:
    own = of.spec.worker.image
    return of.defaults.image if own == DEFAULT_IMAGE else own


def _environment(of: PoolRevision) -> list[Json]:
    plain: Mapping[str, str] = {
        "AGENTFLEET_INSTALL": of.fleet.install,
        "AGENTFLEET_NAMESPACE": of.fleet.namespace,
        "AGENTFLEET_POOL": of.pool,
        "AGENTFLEET_REVISION": of.revision,
        "AGENTFLEET_SECRETS_DIR": SECRETS_DIR,
        "AGENTFLEET_GRACE_SECONDS": str(_grace_seconds(of.spec)),
        "AGENTFLEET_HOST": "0.0.0.0",  # noqa: S104 - the kubelet's probes come from outside the pod
        "AGENTFLEET_METRICS_PORT": str(PROBE_PORT),
        "AGENTFLEET_LOG_FORMAT": of.defaults.log_format,
    }
    own_name = {"name": "AGENTFLEET_WORKER_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    return [{"name": name, "value": value} for name, value in plain.items()] + [
        own_name,
        _redis_url(of.defaults),
    ]


def _redis_url(defaults: WorkerDefaults) -> Json:
    secret = defaults.redis_url_secret
    if secret is None:
        return {"name": "AGENTFLEET_REDIS_URL", "value": defaults.redis_url}
    return {"name": "AGENTFLEET_REDIS_URL_FILE", "value": f"{REDIS_DIR}/{secret.key}"}


def _redis_volume(secret: SecretKey | None) -> list[Json]:
    """The whole Secret, so that a CA certificate beside the URL comes along. Without it no worker can work:
    the pod waits until it is there, and says so.
    """
    if secret is None:
        return []
    return [{"name": "redis", "secret": {"secretName": secret.name, "defaultMode": 0o440}}]


def _grace_seconds(spec: AgentPoolSpec) -> int:
    """When the worker itself stops waiting, so that the kubelet's kill is never needed."""
    grace = spec.termination_grace_period_seconds
    return max(grace - SETTLE_SECONDS, (grace + 1) // 2)


def _probe(path: str, *, period_seconds: int, failures: int) -> Json:
    return {
        "httpGet": {"path": path, "port": "metrics"},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _secrets_volume(keys: Iterable[SecretKey]) -> Json:
    """A file `<Secret>/<key>` each; a missing one does not keep a worker from starting, only its tier's calls
    fail.
    """
    sources = [
        {
            "secret": {
                "name": one.name,
                "optional": True,
                "items": [{"key": one.key, "path": f"{one.name}/{one.key}"}],
            }
        }
        for one in keys
    ]
    return {"name": "provider-keys", "projected": {"defaultMode": 0o440, "sources": sources}}
