"""PURE. What a pod overlay may not touch: what holds a pool together and what a worker's identity rests on.

The operator merges the overlay over its own pod template; containers merge by name, and ours is `worker`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

LABEL_PREFIX = "agentfleet.dev/"
OWN_CONTAINER = "worker"
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
        if key not in TOP_LEVEL:
            yield f".{key}", f"a pod template has metadata and spec; {key} is neither"
    metadata = overlay.get("metadata", {})
    if not isinstance(metadata, Mapping):
        yield ".metadata", "must be an object"
    else:
        yield from _metadata_problems(metadata)
    spec = overlay.get("spec", {})
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
    for part in ("containers", "initContainers"):
        containers = spec.get(part) or []
        if not isinstance(containers, list):
            yield f".spec.{part}", "must be a list"
            continue
        seen: set[str] = set()
        for index, container in enumerate(containers):
            yield from _container_problems(container, f".spec.{part}[{index}]", seen)


def _container_problems(container: object, where: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    name = container.get("name") if isinstance(container, Mapping) else None
    if not isinstance(container, Mapping) or not isinstance(name, str) or not name:
        yield f"{where}.name", f"a container merges by its name; ours is {OWN_CONTAINER}"
        return
    if name in seen:
        yield f"{where}.name", f"{name} stands twice"
    seen.add(name)
    if name == OWN_CONTAINER:
        for key, why in FORBIDDEN_IN_WORKER.items():
            if key in container:
                yield f"{where}.{key}", why
        for index, entry in enumerate(container.get("env") or []):
            if isinstance(entry, Mapping) and str(entry.get("name", "")).startswith("AGENTFLEET_"):
                yield f"{where}.env[{index}]", f"{entry['name']} is set by the operator"
