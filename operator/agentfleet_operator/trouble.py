"""PURE. Why a pool's workers do not come up, in the cluster's own words.

A reason is Kubernetes' (ImagePullBackOff, Unschedulable, CrashLoopBackOff, FailedCreate), because people
search for it; those that alternate while nothing changes are one here, so that a status does not flap.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from agentfleet_core.planner.snapshot import Trouble

ALIASES: Mapping[str, str] = {
    "ErrImagePull": "ImagePullBackOff",
    "RunContainerError": "CrashLoopBackOff",
}
IN_ORDER = frozenset({"ContainerCreating", "PodInitializing"})
"""What a container that is about to start waits for."""
MAX_LETTERS = 500


def pod_trouble(body: Mapping[str, Any]) -> Trouble | None:
    """What keeps the pod from running; None when nothing does, or when it has not been tried yet."""
    status = body.get("status") or {}
    for one in status.get("conditions") or ():
        if (one.get("type"), one.get("status")) == ("PodScheduled", "False"):
            return _trouble(one.get("reason") or "Unschedulable", one.get("message"))
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return next((found for found in map(_container_trouble, containers) if found is not None), None)


def _container_trouble(container: Mapping[str, Any]) -> Trouble | None:
    if container.get("ready"):
        return None
    ended = (container.get("lastState") or {}).get("terminated")
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason") or ""
    if ended is not None and reason in ("", "CrashLoopBackOff", "RunContainerError"):
        said = str(ended.get("message") or "").strip().rpartition("\n")[2]
        text = f"exit code {ended.get('exitCode')} ({ended.get('reason') or 'Error'}): {said}".rstrip(": ")
        return _trouble("CrashLoopBackOff", text)
    if reason and reason not in IN_ORDER:
        return _trouble(ALIASES.get(reason, reason), waiting.get("message"))
    return None


def deployment_trouble(body: Mapping[str, Any]) -> Trouble | None:
    """Pods that cannot even be made: a quota, or an admission that refuses them."""
    for one in (body.get("status") or {}).get("conditions") or ():
        if (one.get("type"), one.get("status")) == ("ReplicaFailure", "True"):
            return _trouble(one.get("reason") or "FailedCreate", one.get("message"))
    return None


def worst(found: Iterable[Trouble | None]) -> Trouble | None:
    """The same one for the same set, so that a status stays as it is."""
    return min(
        (one for one in found if one is not None), key=lambda one: (one.reason, one.message), default=None
    )


def _trouble(reason: str, message: str | None) -> Trouble:
    return Trouble(reason, " ".join((message or reason).split())[:MAX_LETTERS])
