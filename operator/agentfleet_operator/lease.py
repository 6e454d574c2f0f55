"""The Lease as kept by the API server (coordination.k8s.io/v1)."""

from datetime import UTC, datetime
from typing import Any

from agentfleet_core.errors import NotFound
from agentfleet_operator.election import LeaseRecord
from agentfleet_operator.kube import Json, KubeApi


class KubeLease:
    """Implements `leadership.Leases`. Give it a KubeApi of its own, so that no burst of writes delays a
    renewal.
    """

    def __init__(self, api: KubeApi, namespace: str, name: str) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._acquired: dict[int, str] = {}

    async def read(self) -> LeaseRecord | None:
        try:
            return _record(await self._api.get(f"{self._collection}/{self._name}"))
        except NotFound:
            return None

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        return _record(await self._api.create(self._collection, self._manifest(record)))

    async def replace(self, record: LeaseRecord) -> LeaseRecord:
        return _record(await self._api.replace(f"{self._collection}/{self._name}", self._manifest(record)))

    def stamp(self) -> str:
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    @property
    def _collection(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases"

    def _manifest(self, record: LeaseRecord) -> Json:
        acquired = self._acquired.setdefault(record.transitions, record.renewed)
        metadata: dict[str, Any] = {"name": self._name, "namespace": self._namespace}
        if record.resource_version:
            metadata["resourceVersion"] = record.resource_version
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": record.holder,
                "leaseDurationSeconds": max(1, round(record.lease_seconds)),
                "leaseTransitions": record.transitions,
                "acquireTime": acquired,
                "renewTime": record.renewed,
            },
        }


def _record(lease: Json) -> LeaseRecord:
    spec = lease.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        transitions=spec.get("leaseTransitions") or 0,
        lease_seconds=float(spec.get("leaseDurationSeconds") or 0),
        renewed=spec.get("renewTime") or "",
        resource_version=lease["metadata"]["resourceVersion"],
    )
