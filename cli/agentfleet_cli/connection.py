"""Which fleet a command talks to: AGENTFLEET_URL and its keys, else the `agentfleet dev` that runs here."""

import os

from agentfleet.client import Client
from agentfleet.running import running_fleet
from agentfleet_core.errors import NotFound, Unauthorized


def tenant_client(tenant: str | None = None) -> Client:
    """A client with the key that is set, or with that of a tenant of a running dev (None: its first)."""
    return Client(api_key=tenant_key(tenant))


def tenant_key(tenant: str | None) -> str | None:
    """Raises `NotFound` for a tenant that the running dev does not know."""
    if tenant is None:
        return None
    running = running_fleet()
    if running is None:
        raise Unauthorized(
            "--tenant works beside a running `agentfleet dev`; elsewhere set AGENTFLEET_API_KEY"
        )
    key = running.tenant_keys.get(tenant)
    if key is None:
        raise NotFound("tenant", f"{tenant} (there are {', '.join(sorted(running.tenant_keys)) or 'none'})")
    return key


def admin_client() -> Client:
    """A client with the admin key, for what concerns the whole fleet."""
    key = os.environ.get("AGENTFLEET_ADMIN_KEY")
    if not key:
        running = running_fleet()
        if running is None or os.environ.get("AGENTFLEET_URL") not in (None, running.url):
            raise Unauthorized("this needs the fleet's admin key: set AGENTFLEET_ADMIN_KEY")
        key = running.admin_key
    return Client(api_key=key)
