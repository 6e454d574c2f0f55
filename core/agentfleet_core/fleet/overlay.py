"""PURE. What a pod overlay may not touch: what holds a pool together and what a worker's identity rests on.

The operator merges the overlay over its own pod template; containers merge by name, and ours is `worker`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from agentfleet_core.settings import SECRETS_DIR

LABEL_PREFIX = "agentfleet.dev/"
OWN_CONTAINER = "worker"
OWN_VOLUMES = frozenset({"tmp", "provider-keys"})
OWN_MOUNTS = frozenset({"/tmp", SECRETS_DIR})  # noqa: S108 - the pod's own emptyDir
MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "hostAliases": "ip",
}
"""Lists whose entries merge one by one, and what tells the entries apart."""
TOP_LEVEL = frozenset({"metadata", "spec"})
FORBIDDEN_IN_SPEC = {
    "serviceAccountName": "the worker runs under the service account that the installation gives it",
    "serviceAccount": "the worker runs under the service account that the installation gives it",
    "automountServiceAccountToken": "a worker never talks to the Kubernetes API",
    "restartPolicy": "a Deployment's pods always restart",
    "terminationGracePeriodSeconds": "set spec.terminationGracePeriodSeconds of the pool instead",
}
FORBIDDEN_IN_WORKER = {
    "image": "set spec.worker.image instead",
    "resources": "set spec.worker.resources instead",
    "command": "the worker's command is the operator's",
    "args": "the worker's command is the operator's",
}


def overlay_problems(overlay: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(path below podOverlay, sentence) for each thing that may not stand there."""
    for key in overlay:
        if overlay[key] is None:
            yield f".{key}", "null would take it away; leave it out"
        elif key not in TOP_LEVEL:
            yield f".{key}", f"a pod template has metadata and spec; {key} is neither"
    metadata = overlay.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        yield ".metadata", "must be an object"
    else:
        yield from _metadata_problems(metadata)
    spec = overlay.get("spec") or {}
    if not isinstance(spec, Mapping):
        yield ".spec", "must be an object"
    else:
        yield from _spec_problems(spec)


def _metadata_problems(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in metadata:
        if key not in {"labels", "annotations"}:
            yield f".metadata.{key}", "only labels and annotations can be added"
    for part in ("labels", "annotations"):
        entries = metadata.get(part) or {}
        if not isinstance(entries, Mapping):
            yield f".metadata.{part}", "must be an object"
            continue
        for key in entries:
            if str(key).startswith(LABEL_PREFIX) or str(key).startswith("app.kubernetes.io/"):
                yield f".metadata.{part}[{key}]", "is set by the operator; choose another prefix"


def _spec_problems(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, why in FORBIDDEN_IN_SPEC.items():
        if key in spec:
            yield f".spec.{key}", why
    yield from _list_problems(spec, ".spec")
    for index, volume in _entries(spec.get("volumes")):
        if volume.get("name") in OWN_VOLUMES:
            yield f".spec.volumes[{index}].name", f"{volume['name']} is the operator's; choose another name"
    for index, container in _entries(spec.get("containers")):
        where = f".spec.containers[{index}]"
        yield from _list_problems(container, where)
        if container.get("name") == OWN_CONTAINER:
            yield from _own_container_problems(container, where)


def _own_container_problems(container: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    for key, why in FORBIDDEN_IN_WORKER.items():
        if key in container:
            yield f"{where}.{key}", why
    for index, entry in _entries(container.get("env")):
        if str(entry.get("name", "")).startswith("AGENTFLEET_"):
            yield f"{where}.env[{index}].name", f"{entry['name']} is set by the operator"
    for index, mount in _entries(container.get("volumeMounts")):
        if mount.get("mountPath") in OWN_MOUNTS:
            yield f"{where}.volumeMounts[{index}].mountPath", "is mounted by the operator"


def _list_problems(parent: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    """Lists that merge entry by entry need entries that can be told apart, each once."""
    for part, identity in MERGE_KEYS.items():
        if part not in parent:
            continue
        entries = parent[part]
        if not isinstance(entries, list):
            yield f"{where}.{part}", "must be a list"
            continue
        seen: list[object] = []
        for index, entry in enumerate(entries):
            name = entry.get(identity) if isinstance(entry, Mapping) else None
            if name in (None, ""):
                yield f"{where}.{part}[{index}]", f"needs its {identity}: entries merge by it"
            elif name in seen:
                yield f"{where}.{part}[{index}].{identity}", f"{name} stands twice"
            seen.append(name)


def _entries(entries: object) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if isinstance(entries, list):
        yield from ((index, entry) for index, entry in enumerate(entries) if isinstance(entry, Mapping))
