"""The view of all objects: fed by watch events and by lists, read by the one loop that decides.

It only remembers and says what changed; nothing here decides or writes. Standbys feed it too, so that one
that becomes leader finds it warm.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentfleet_core.api.v1alpha1 import AnyResource
from agentfleet_core.fleet.compile import ADMIN_KEY
from agentfleet_operator.kube import FIELD_MANAGER
from agentfleet_operator.views import (
    KINDS,
    POOL_LABEL,
    DeploymentView,
    PodView,
    ResourceView,
    SecretView,
    deployment_view,
    pod_view,
    resource_view,
    secret_view,
)


@dataclass(slots=True)
class Changes:
    """What has not been looked at yet."""

    config: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when something changed that the fleet config is compiled from."""
    pools: set[str] = field(default_factory=set)
    some_pool: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while there are such pools."""

    def ring(self, *, config: bool = False, pool: str = "") -> None:
        if config:
            self.config.set()
        if pool:
            self.pools.add(pool)
            self.some_pool.set()

    def take_pools(self) -> set[str]:
        taken, self.pools = self.pools, set()
        self.some_pool.clear()
        return taken


@dataclass(slots=True)
class FleetState:
    """All that was seen of one namespace."""

    namespace: str
    resources: dict[tuple[str, str], ResourceView] = field(default_factory=dict)
    deployments: dict[str, dict[str, DeploymentView]] = field(default_factory=dict)
    """By pool, then by name."""
    pods: dict[str, dict[str, PodView]] = field(default_factory=dict)
    """By pool, then by name."""
    secrets: dict[str, SecretView] = field(default_factory=dict)
    secrets_in_use: frozenset[str] = frozenset()
    """Those that the config was compiled from; others do not matter to it."""
    changes: Changes = field(default_factory=Changes)

    @property
    def begun(self) -> bool:
        """Whether the namespace is a fleet: it has an object of ours, or the admin key, so that a coordinator
        can serve before the first object.
        """
        return bool(self.resources) or ADMIN_KEY.name in self.secrets

    def pool(self, name: str) -> ResourceView | None:
        return self.resources.get(("AgentPool", name))

    def of_kind(self, kind: str) -> Iterator[ResourceView]:
        return (view for (of, _), view in self.resources.items() if of == kind)

    def readable(self) -> list[AnyResource]:
        """In a fixed order, so that the same objects compile to the same config."""
        return [view.resource for _, view in sorted(self.resources.items()) if view.resource is not None]

    def pool_names(self) -> set[str]:
        """Pools that exist, and those whose Deployments outlived them."""
        return {view.name for view in self.of_kind("AgentPool")} | {
            pool for pool, found in self.deployments.items() if found
        }

    def put_resource(self, view: ResourceView) -> None:
        before = self.resources.get((view.kind, view.name))
        if before is not None and before.version >= view.version:
            return
        self.resources[view.kind, view.name] = view
        if not view.same_spec(before):
            self.changes.ring(config=True, pool=view.name if view.kind == "AgentPool" else "")

    def drop_resource(self, kind: str, name: str) -> None:
        if self.resources.pop((kind, name), None) is not None:
            self.changes.ring(config=True, pool=name if kind == "AgentPool" else "")

    def put_deployment(self, view: DeploymentView) -> None:
        of_pool = self.deployments.setdefault(view.pool, {})
        before = of_pool.get(view.name)
        if before is None or before.version < view.version:
            of_pool[view.name] = view
            self.changes.ring(pool=view.pool)

    def put_pod(self, view: PodView) -> None:
        of_pool = self.pods.setdefault(view.pool, {})
        before = of_pool.get(view.name)
        if before is None or before.version < view.version:
            of_pool[view.name] = view
            self.changes.ring(pool=view.pool)

    def put_secret(self, view: SecretView) -> None:
        before = self.secrets.get(view.name)
        if before is None or before.version < view.version:
            self.secrets[view.name] = view
            self.changes.ring(config=view.name in self.secrets_in_use)

    def drop_secret(self, name: str) -> None:
        if self.secrets.pop(name, None) is not None:
            self.changes.ring(config=name in self.secrets_in_use)

    def drop_owned(self, kind: str, name: str) -> None:
        """A Deployment or a pod that is gone."""
        by_pool: Mapping[str, dict[str, Any]] = self.deployments if kind == "Deployment" else self.pods
        for pool, found in by_pool.items():
            if found.pop(name, None) is not None:
                self.changes.ring(pool=pool)


class ClusterState:
    """All namespaces. `take` an event as it comes, in any order of versions; the newest version stays."""

    def __init__(self) -> None:
        self._fleets: dict[str, FleetState] = {}
        self._gone: dict[str, int] = {}
        self._begun: set[str] = set()
        self.grown = asyncio.Event()
        """Set when another namespace has become a fleet."""

    @property
    def fleets(self) -> Mapping[str, FleetState]:
        return self._fleets

    def fleet(self, namespace: str) -> FleetState:
        found = self._fleets.get(namespace)
        if found is None:
            found = self._fleets[namespace] = FleetState(namespace)
        return found

    def take(self, kind: str, body: Mapping[str, Any], *, deleted: bool = False) -> None:
        """`kind`: one of ours, or Deployment, Pod, Secret."""
        metadata = body["metadata"]
        version, uid = int(metadata["resourceVersion"]), metadata["uid"]
        fleet = self.fleet(metadata["namespace"])
        if deleted:
            self._gone[uid] = version
            _drop(fleet, kind, metadata["name"])
        elif self._gone.get(uid, 0) < version and _version(fleet, kind, body) < version:
            _put(fleet, kind, body)
            if fleet.begun and fleet.namespace not in self._begun:
                self._begun.add(fleet.namespace)
                self.grown.set()

    def replace(
        self, kind: str, bodies: Collection[Mapping[str, Any]], version: int, namespace: str = ""
    ) -> None:
        """A whole list as of `version`, of one namespace or all: what is not in it nor newer is gone."""
        listed = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in bodies}
        for body in bodies:
            self.take(kind, body)
        for fleet in self._fleets.values():
            if namespace and fleet.namespace != namespace:
                continue
            for name, known in _known(fleet, kind):
                if known <= version and (fleet.namespace, name) not in listed:
                    _drop(fleet, kind, name)
        self._gone = {uid: gone for uid, gone in self._gone.items() if gone > version}


def _version(fleet: FleetState, kind: str, body: Mapping[str, Any]) -> int:
    """That of the object as known; most events only repeat what a write's answer had said already."""
    metadata = body["metadata"]
    name, pool = metadata["name"], (metadata.get("labels") or {}).get(POOL_LABEL, "")
    known: ResourceView | DeploymentView | PodView | SecretView | None
    if kind in KINDS:
        known = fleet.resources.get((kind, name))
    elif kind == "Deployment":
        known = fleet.deployments.get(pool, {}).get(name)
    elif kind == "Pod":
        known = fleet.pods.get(pool, {}).get(name)
    else:
        known = fleet.secrets.get(name)
    return known.version if known is not None else 0


def _put(fleet: FleetState, kind: str, body: Mapping[str, Any]) -> None:
    if kind in KINDS:
        before = fleet.resources.get((kind, body["metadata"]["name"]))
        fleet.put_resource(resource_view(kind, body, before))
    elif kind == "Deployment":
        deployment = deployment_view(body, FIELD_MANAGER)
        if deployment is not None:
            fleet.put_deployment(deployment)
    elif kind == "Pod":
        pod = pod_view(body)
        if pod is not None:
            fleet.put_pod(pod)
        else:
            fleet.drop_owned("Pod", body["metadata"]["name"])
    else:
        fleet.put_secret(secret_view(body))


def _drop(fleet: FleetState, kind: str, name: str) -> None:
    if kind in KINDS:
        fleet.drop_resource(kind, name)
    elif kind == "Secret":
        fleet.drop_secret(name)
    else:
        fleet.drop_owned(kind, name)


def _known(fleet: FleetState, kind: str) -> list[tuple[str, int]]:
    if kind in KINDS:
        return [(view.name, view.version) for view in fleet.of_kind(kind)]
    if kind == "Secret":
        return [(view.name, view.version) for view in fleet.secrets.values()]
    by_pool: Mapping[str, Mapping[str, DeploymentView | PodView]]
    by_pool = fleet.deployments if kind == "Deployment" else fleet.pods
    return [(view.name, view.version) for found in by_pool.values() for view in found.values()]
