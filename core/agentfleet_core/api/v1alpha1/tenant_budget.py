"""TenantBudget: what a tenant may spend, how much it may run at once, and the key it calls with."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from agentfleet_core.api.v1alpha1.base import API_VERSION, DnsLabel, ObjectMeta, Resource, SecretKeyRef, Usd


class Period(StrEnum):
    HOUR = "Hour"
    DAY = "Day"
    MONTH = "Month"
    TOTAL = "Total"


class Limit(Resource):
    """Spent plus held never passes `amount` inside one period."""

    name: DnsLabel
    period: Period
    amount: Usd
    """USD."""
    time_zone: str = Field("UTC", min_length=1, max_length=64)
    """IANA name; where the period's days and months begin."""
    task_type: DnsLabel | None = None
    """Counts only tasks of this type."""
    tier: DnsLabel | None = None
    """Counts only calls on this tier."""


class TenantBudgetSpec(Resource):
    tenant: DnsLabel
    """Who the budget is for. Immutable."""
    limits: list[Limit] = Field(default_factory=list, max_length=16)
    """All must have room for a call to be made."""
    max_running: int | None = Field(None, ge=1, le=100_000)
    """Tasks of the tenant that run at once in one pool."""
    fair_share_weight: int = Field(1, ge=1, le=1_000)
    """The tenant's share of a busy pool, relative to the other tenants' weights."""
    api_key_secret_ref: SecretKeyRef | None = None
    """The key that the tenant's clients send; stored only as a hash."""
    paused: bool = False
    """True: no task of the tenant starts and no paid call is made for it."""


class TenantBudget(Resource):
    api_version: Literal["agentfleet.dev/v1alpha1"] = API_VERSION
    kind: Literal["TenantBudget"] = "TenantBudget"
    metadata: ObjectMeta
    spec: TenantBudgetSpec
