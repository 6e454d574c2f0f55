"""TenantBudget: what a tenant may spend, how much it may run at once, and the key it calls with."""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from agentfleet_core.api.declare import Column, Names, Rule
from agentfleet_core.api.v1alpha1.base import (
    AGE,
    API_VERSION,
    Conditions,
    DnsLabel,
    Kind,
    ObjectMeta,
    ObjectStatus,
    Resource,
    SecretKeyRef,
    Status,
    Usd,
)


class Period(StrEnum):
    """How often a limit begins anew."""

    HOUR = "Hour"
    DAY = "Day"
    MONTH = "Month"
    TOTAL = "Total"


class Limit(Resource):
    """Spent plus held never passes `amount` inside one period."""

    name: DnsLabel
    """Unique in the budget; errors, metrics and reports name the limit by it."""
    period: Period
    """After which the counter starts at zero again; Total never does."""
    amount: Usd
    """USD."""
    time_zone: str = Field("UTC", min_length=1, max_length=64)
    """IANA name; where the period's days and months begin."""
    task_type: DnsLabel | None = None
    """Counts only tasks of this type."""
    tier: DnsLabel | None = None
    """Counts only calls on this tier."""

    @property
    def counts_all(self) -> bool:
        """Whatever its tenant does counts against it."""
        return self.task_type is None and self.tier is None

    def counts(self, task_type: str, tier: str) -> bool:
        """Whether a call counts against it."""
        return self.task_type in (None, task_type) and self.tier in (None, tier)


class TenantBudgetSpec(Resource):
    """Who the tenant is and what it may use."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.tenant == oldSelf.tenant",
            field=".tenant",
            message="tenant is immutable; make another TenantBudget for the other tenant",
        ),
    )

    tenant: DnsLabel
    """Who the budget is for. Immutable."""
    limits: list[Limit] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    """All must have room for a call to be made."""
    max_running: int | None = Field(None, ge=1, le=100_000)
    """Tasks of the tenant that run at once in one pool."""
    fair_share_weight: int = Field(1, ge=1, le=1_000)
    """The tenant's share of a busy pool, relative to the other tenants' weights."""
    api_key_secret_ref: SecretKeyRef | None = None
    """The key that the tenant's clients send; stored only as a hash."""
    paused: bool = False
    """True: no task of the tenant starts and no paid call is made for it."""


class LimitStatus(Status):
    """One limit in the window that holds now."""

    name: DnsLabel
    """Of the limit in the spec."""
    spent: str
    """USD."""
    held: str
    """USD that calls under way may cost at most."""
    unconfirmed: str = ""
    """The part of spent that was charged without the provider's word, USD."""
    remaining: str
    """USD that a new call may still hold."""
    resets_at: str | None = Field(None, json_schema_extra={"format": "date-time"})
    """When the next window begins; none for Total."""


class Phase(StrEnum):
    """The state of a tenant in one word."""

    NORMAL = "Normal"
    EXHAUSTED = "Exhausted"
    PAUSED = "Paused"
    UNKNOWN = "Unknown"
    """The ledger could not be read."""


class TenantBudgetStatus(ObjectStatus):
    """What the tenant has spent; written at most every 10 s, the ledger in Redis is what counts."""

    phase: Phase | None = None
    """Exhausted: a limit refused a call which no open hold could free."""
    spent: str = ""
    """Of the limit nearest to its end, as shown by kubectl."""
    held: str = ""
    """Of the same limit."""
    limit: str = ""
    """The same limit's amount and period."""
    resets: str = ""
    """When the same limit's window ends, in its time zone."""
    limits: list[LimitStatus] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    """All limits."""
    conditions: Conditions = Field(default_factory=list)


class TenantBudget(Kind):
    """What one tenant may spend and run at once, and the key that its clients call with."""

    NAMES: ClassVar[Names] = Names(
        plural="tenantbudgets",
        singular="tenantbudget",
        short="tb",
        columns=(
            Column("Tenant", "string", ".spec.tenant", "Who the budget is for."),
            Column("Phase", "string", ".status.phase", "Normal, Exhausted or Paused."),
            Column("Spent", "string", ".status.spent", "Of the limit nearest to its end."),
            Column("Held", "string", ".status.held", "What calls under way may cost at most."),
            Column("Limit", "string", ".status.limit", "The limit nearest to its end."),
            Column("Resets", "string", ".status.resets", "When that limit's window ends."),
            AGE,
        ),
    )

    api_version: Literal["agentfleet.dev/v1alpha1"] = API_VERSION
    kind: Literal["TenantBudget"] = "TenantBudget"
    metadata: ObjectMeta
    spec: TenantBudgetSpec
    status: TenantBudgetStatus = Field(default_factory=TenantBudgetStatus)
