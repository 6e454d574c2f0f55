"""PURE. What the operator keeps of the objects it watches, and how it reads them out of the API server's
JSON.

The objects themselves are dropped: a thousand Deployments with their managed fields would be most of the
memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import ValidationError

from agentfleet_core.api.v1alpha1 import AgentPool, AnyResource, ModelTier, TaskType, TenantBudget
from agentfleet_core.planner.snapshot import Trouble
from agentfleet_operator.trouble import deployment_trouble, pod_trouble

POOL_LABEL = "agentfleet.dev/pool"
REVISION_LABEL = "agentfleet.dev/revision"
DRAIN_FINALIZER = "agentfleet.dev/drain"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

KINDS: Mapping[str, type[AgentPool | TaskType | TenantBudget | ModelTier]] = {
    "AgentPool": AgentPool,
    "TaskType": TaskType,
    "TenantBudget": TenantBudget,
    "ModelTier": ModelTier,
}
PLURALS: Mapping[str, str] = {
    "AgentPool": "agentpools",
    "TaskType": "tasktypes",
    "TenantBudget": "tenantbudgets",
    "ModelTier": "modeltiers",
}


@dataclass(frozen=True, slots=True)
class ResourceView:
    """One object of our four kinds."""

    kind: str
    name: str
    namespace: str
    uid: str
    generation: int
    version: int
    """The resource version, as a number: later is larger."""
    resource: AnyResource | None
    """None when it was stored by an older schema and no longer reads; `problem` says why."""
    problem: str
    status: Mapping[str, Any]
    finalizers: tuple[str, ...]
    deleting_since: datetime | None

    def same_spec(self, other: "ResourceView | None") -> bool:
        """Whether nothing but status, labels or managed fields differs."""
        return (
            other is not None
            and self.uid == other.uid
            and self.generation == other.generation
            and (self.deleting_since is None) == (other.deleting_since is None)
        )


@dataclass(frozen=True, slots=True)
class DeploymentView:
    name: str
    pool: str
    revision: str
    uid: str
    created: str
    version: int
    generation: int
    replicas: int
    ready: int
    rolling: bool
    """Its own pods are not all of its newest template yet."""
    replicas_manager: str
    """Who else writes spec.replicas; empty when nobody does."""
    replicas_written: datetime | None
    """When they did so last."""
    content: bytes
    """JSON of what the operator declares in it, but the number of replicas: labels, owners, spec."""
    deleting: bool = False
    trouble: Trouble | None = None
    """Why its pods cannot be made; None when they can."""


@dataclass(frozen=True, slots=True)
class PodView:
    name: str
    pool: str
    revision: str
    version: int
    ready: bool
    ending: bool
    deletion_cost: str
    trouble: Trouble | None = None
    """Why it does not come up; None when it does."""


@dataclass(frozen=True, slots=True)
class SecretView:
    name: str
    version: int


def resource_view(kind: str, body: Mapping[str, Any], before: ResourceView | None = None) -> ResourceView:
    """`before`: the same object as known; its spec is not read again where only its status changed."""
    metadata = body["metadata"]
    uid, generation = metadata["uid"], metadata.get("generation", 0)
    deleting_since = moment(metadata.get("deletionTimestamp"))
    if before is not None and (before.uid, before.generation, before.deleting_since) == (
        uid,
        generation,
        deleting_since,
    ):
        resource, problem = before.resource, before.problem
    else:
        resource, problem = _read(kind, body)
    return ResourceView(
        kind=kind,
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=uid,
        generation=generation,
        version=int(metadata["resourceVersion"]),
        resource=resource,
        problem=problem,
        status=body.get("status") or {},
        finalizers=tuple(metadata.get("finalizers") or ()),
        deleting_since=deleting_since,
    )


def _read(kind: str, body: Mapping[str, Any]) -> tuple[AnyResource | None, str]:
    """The object, or why it cannot be read."""
    declared = {key: body[key] for key in ("apiVersion", "kind", "metadata", "spec") if key in body}
    try:
        return KINDS[kind].model_validate(declared, extra="ignore"), ""
    except ValidationError as error:
        return None, str(error)


def deployment_view(body: Mapping[str, Any], manager: str) -> DeploymentView | None:
    """None for a Deployment that belongs to no pool."""
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    labels = metadata.get("labels") or {}
    pool, revision = labels.get(POOL_LABEL), labels.get(REVISION_LABEL)
    if not pool or not revision:
        return None
    replicas = spec.get("replicas", 1)
    other, written = replicas_manager(metadata.get("managedFields") or (), manager)
    declared = {
        "labels": labels,
        "ownerReferences": metadata.get("ownerReferences"),
        "spec": {key: value for key, value in spec.items() if key != "replicas"},
    }
    observed = status.get("observedGeneration", 0) >= metadata.get("generation", 0)
    return DeploymentView(
        name=metadata["name"],
        pool=pool,
        revision=revision,
        uid=metadata["uid"],
        created=metadata.get("creationTimestamp") or "",
        version=int(metadata["resourceVersion"]),
        generation=metadata.get("generation", 0),
        replicas=replicas,
        ready=min(status.get("readyReplicas", 0), replicas),
        rolling=observed and status.get("updatedReplicas", 0) < status.get("replicas", 0),
        replicas_manager=other,
        replicas_written=written,
        content=orjson.dumps(declared),
        deleting=bool(metadata.get("deletionTimestamp")),
        trouble=deployment_trouble(body),
    )


def pod_view(body: Mapping[str, Any]) -> PodView | None:
    """None for a pod that belongs to no pool, or that has ended."""
    metadata, status = body["metadata"], body.get("status") or {}
    labels = metadata.get("labels") or {}
    pool = labels.get(POOL_LABEL)
    if not pool or status.get("phase") in ("Succeeded", "Failed"):
        return None
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or ())
    return PodView(
        name=metadata["name"],
        pool=pool,
        revision=labels.get(REVISION_LABEL, ""),
        version=int(metadata["resourceVersion"]),
        ready=ready,
        ending=bool(metadata.get("deletionTimestamp")),
        deletion_cost=(metadata.get("annotations") or {}).get(DELETION_COST, ""),
        trouble=pod_trouble(body),
    )


def secret_view(body: Mapping[str, Any]) -> SecretView:
    return SecretView(body["metadata"]["name"], int(body["metadata"]["resourceVersion"]))


def replicas_manager(managed_fields: Any, manager: str) -> tuple[str, datetime | None]:
    """Who besides `manager` owns spec.replicas, and when they wrote last."""
    for entry in managed_fields:
        owned = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if entry.get("manager") != manager and "f:replicas" in owned:
            return str(entry.get("manager") or "unknown"), moment(entry.get("time"))
    return "", None


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
