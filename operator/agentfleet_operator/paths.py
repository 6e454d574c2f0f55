"""PURE. Where the API server keeps what the operator reads and writes."""

from agentfleet_core.api.v1alpha1 import GROUP, VERSION
from agentfleet_operator.views import PLURALS

ROOTS = {
    **{kind: (f"/apis/{GROUP}/{VERSION}", plural) for kind, plural in PLURALS.items()},
    "Deployment": ("/apis/apps/v1", "deployments"),
    "Pod": ("/api/v1", "pods"),
    "Secret": ("/api/v1", "secrets"),
    "Event": ("/api/v1", "events"),
}


def collection(kind: str, namespace: str = "") -> str:
    """All objects of a kind in one namespace; in the whole cluster when it is empty."""
    root, plural = ROOTS[kind]
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def one(kind: str, namespace: str, name: str) -> str:
    return f"{collection(kind, namespace)}/{name}"


def status_of(kind: str, namespace: str, name: str) -> str:
    return f"{one(kind, namespace, name)}/status"
