"""Which fleet a command talks to: AGENTFLEET_URL and its keys, else the `agentfleet dev` that runs here, else
the one in the cluster of the user's kubeconfig.
"""

import os
from typing import TypedDict

from agentfleet.client import Client
from agentfleet.running import RunningFleet, running_fleet
from agentfleet_cli.cluster import cluster_fleet
from agentfleet_core.errors import NotFound, Unauthorized, Unavailable


class Target(TypedDict):
    """Arguments of a client; None is left to its own rules."""

    url: str | None
    api_key: str | None


def tenant_client(tenant: str | None = None) -> Client:
    """A client with the key that is set, or of a tenant of the fleet that was found (None: its first)."""
    return Client(**tenant_target(tenant))


def task_client(tenant: str | None = None) -> Client:
    """A client for one task by its id: where no tenant is named, one that sees every tenant's, if the
    user holds the admin key.
    """
    if tenant is None and not os.environ.get("AGENTFLEET_API_KEY"):
        fleet = _found()
        if os.environ.get("AGENTFLEET_ADMIN_KEY") or (fleet is not None and fleet.admin_key):
            return admin_client()
    return tenant_client(tenant)


def tenant_target(tenant: str | None) -> Target:
    """Raises `NotFound` for a tenant that the fleet does not know."""
    fleet = _found()
    url = fleet.url if fleet is not None and "AGENTFLEET_URL" not in os.environ else None
    if tenant is None:
        if fleet is None and not _is_named("AGENTFLEET_API_KEY"):
            raise _nowhere("AGENTFLEET_API_KEY")
        key = os.environ.get("AGENTFLEET_API_KEY") or (fleet.default_key if url and fleet else None)
        return Target(url=url, api_key=key)
    if fleet is None:
        raise Unauthorized(
            "--tenant works beside a running `agentfleet dev` or with a kubeconfig; "
            "elsewhere set AGENTFLEET_API_KEY"
        )
    key = fleet.tenant_keys.get(tenant)
    if key is None:
        known = ", ".join(sorted(fleet.tenant_keys)) or "none"
        raise NotFound("tenant", tenant, f"there are {known}")
    return Target(url=url, api_key=key)


def admin_client() -> Client:
    """A client with the admin key, for what concerns the whole fleet."""
    key, fleet = os.environ.get("AGENTFLEET_ADMIN_KEY"), _found()
    url = fleet.url if fleet is not None and "AGENTFLEET_URL" not in os.environ else None
    if not key and fleet is not None and os.environ.get("AGENTFLEET_URL") in (None, fleet.url):
        key = fleet.admin_key
    if not key and fleet is None and not _is_named("AGENTFLEET_ADMIN_KEY"):
        raise _nowhere("AGENTFLEET_ADMIN_KEY")
    if not key:
        raise Unauthorized("this needs the fleet's admin key: set AGENTFLEET_ADMIN_KEY")
    return Client(url, key)


def _is_named(key: str) -> bool:
    return bool(os.environ.get("AGENTFLEET_URL") or os.environ.get(key))


def _nowhere(key: str) -> Unavailable:
    return Unavailable(
        "no fleet is running here; start one with `make dev` or `agentfleet dev -f DIR`, or set "
        f"AGENTFLEET_URL and {key}"
    )


def _found() -> RunningFleet | None:
    running = running_fleet()
    if running is not None or os.environ.get("AGENTFLEET_URL"):
        return running
    return cluster_fleet()
