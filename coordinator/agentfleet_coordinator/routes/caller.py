"""Who calls, and what a route may use for them."""

from fastapi import Request

from agentfleet_coordinator.catalog import Principal
from agentfleet_coordinator.services import Services
from agentfleet_core.errors import Forbidden


def services_of(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def caller(request: Request) -> tuple[Services, Principal]:
    """Raises `Unauthorized`, or `Unavailable` while Redis is silent."""
    services = services_of(request)
    sent = (value for name, value in request.scope["headers"] if name == b"authorization")
    principal = services.catalog.authenticate(next(sent, b""))
    services.require_redis()
    return services, principal


def tenant_caller(request: Request) -> tuple[Services, Principal]:
    services, principal = caller(request)
    if principal.admin:
        raise Forbidden("an admin key belongs to no tenant; use the key of the tenant that the task is for")
    return services, principal


def admin_caller(request: Request) -> tuple[Services, Principal]:
    services, principal = caller(request)
    if not principal.admin:
        raise Forbidden("this needs an admin key; a tenant's key sees its own tasks alone")
    return services, principal
