"""kopf's handlers. They only pass on what was seen: kopf retries no event handler, so nothing here may need
it.

What decides and writes is one loop elsewhere, which looks again until all is as it should be.
"""

from collections.abc import Callable, Mapping
from typing import Any

import kopf

from agentfleet_core.api.v1alpha1 import GROUP, VERSION
from agentfleet_operator.login import log_in
from agentfleet_operator.views import PLURALS, POOL_LABEL

Sink = Callable[[str, Mapping[str, Any], bool, bool], None]
"""Kind, object, whether it was deleted, whether it comes from a list."""


def registry_for(sink: Sink) -> kopf.OperatorRegistry:
    """Watches our kinds, the Deployments and pods that carry our label, and the Secrets' versions."""
    registry = kopf.OperatorRegistry()
    watched = {kind: (GROUP, VERSION, plural) for kind, plural in PLURALS.items()}
    watched |= {"Deployment": ("apps", "v1", "deployments"), "Pod": ("", "v1", "pods")}
    watched |= {"Secret": ("", "v1", "secrets")}
    for kind, resource in watched.items():
        kopf.on.event(*resource, id=f"saw-{kind.lower()}", param=kind, registry=registry)(_seen(sink))
    kopf.on.login(id="login", registry=registry)(_login)
    return registry


def _seen(sink: Sink) -> Callable[..., Any]:
    async def seen(*, event: Any, param: str, **_: Any) -> None:
        sink(param, event["object"], event["type"] == "DELETED", event["type"] is None)

    return seen


def _login(**_: Any) -> kopf.ConnectionInfo:
    return log_in()


class Forever:
    """Pauses between attempts, without end: an API server that is away is waited for."""

    def __iter__(self) -> "Any":
        yield from (0.2, 0.5, 1.0)
        while True:
            yield 2.0


def kopf_settings(*, scanning: bool = True) -> kopf.OperatorSettings:
    """No event of kopf's, no peering, no annotation or finalizer on users' objects; only watching.

    `scanning` needs the right to list namespaces and CustomResourceDefinitions; without it nobody may ask,
    since kopf would ask for ever before it watches anything.
    """
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = not scanning
    settings.peering.standalone = True
    settings.networking.error_backoffs = Forever()
    settings.networking.connect_timeout = 5.0
    settings.networking.request_timeout = 30.0
    settings.queueing.idle_timeout = 1.0
    settings.watching.label_selectors["apps", "v1", "deployments"] = POOL_LABEL
    settings.watching.label_selectors["", "v1", "pods"] = POOL_LABEL
    settings.process.ultimate_exiting_timeout = None
    return settings
