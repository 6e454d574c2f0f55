"""Every metric of agentfleet, declared once, for `/metrics` of each service.

Names and units follow Prometheus' rules: base units (seconds, tokens, USD), `_total` on counters. Labels are
bounded: pools, task types, tiers, models and tenants come from manifests, the rest from enums. A task, worker
or key id is never a label. On a hot path keep the child that `labels()` returns; it costs more than the
increment.
"""

from collections.abc import Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

_counter = partial(Counter, registry=REGISTRY)
_gauge = partial(Gauge, registry=REGISTRY)
_histogram = partial(Histogram, registry=REGISTRY)

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_WAITS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0)
_WORK = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0)

# Coordinator: what comes in.
TASKS_SUBMITTED = _counter(
    "agentfleet_tasks_submitted_total",
    "Tasks offered, by outcome: accepted, repeated or refused.",
    ("pool", "task_type", "outcome"),
)
HTTP_REQUESTS = _counter(
    "agentfleet_http_requests_total",
    "HTTP requests answered, by route template.",
    ("method", "route", "status"),
)
HTTP_REQUEST_SECONDS = _histogram(
    "agentfleet_http_request_duration_seconds",
    "From a request's head to its answer's end.",
    ("method", "route"),
    buckets=_FAST,
)
FOLLOWERS = _gauge("agentfleet_followers", "Clients that follow a task's events now.")

# Queue: what waits. Set by the one who reads the pool's counters.
QUEUE_TASKS = _gauge(
    "agentfleet_queue_tasks",
    "Tasks of a pool: waiting, blocked, running, parked, due or orphaned.",
    ("pool", "state"),
)
QUEUE_OLDEST_WAIT_SECONDS = _gauge(
    "agentfleet_queue_oldest_wait_seconds",
    "How long the oldest claimable task has waited; 0 when none does.",
    ("pool",),
)
REDIS_UP = _gauge("agentfleet_redis_up", "1 while Redis answers this process, else 0.")

# Worker: what is done.
TASK_START_SECONDS = _histogram(
    "agentfleet_task_start_latency_seconds",
    "From admission, or from the time it was due, to the claim.",
    ("pool",),
    buckets=_WAITS,
)
TASK_SECONDS = _histogram(
    "agentfleet_task_duration_seconds",
    "From an attempt's claim to its settle.",
    ("pool", "task_type"),
    buckets=_WORK,
)
TASKS_ENDED = _counter(
    "agentfleet_tasks_ended_total", "Tasks that ended, by state.", ("pool", "task_type", "state")
)
TASKS_POSTPONED = _counter(
    "agentfleet_tasks_postponed_total",
    "Attempts given back to the queue (retry, park, hand_back), by reason.",
    ("pool", "kind", "reason"),
)
TASKS_RUNNING = _gauge("agentfleet_worker_tasks", "Tasks that this worker runs now.", ("pool",))
WORKER_SLOTS = _gauge("agentfleet_worker_slots", "Tasks that this worker may run at once.", ("pool",))
LLM_CALLS = _counter(
    "agentfleet_llm_calls_total", "Calls of a model, by outcome word.", ("tier", "model", "outcome")
)
LLM_CALL_SECONDS = _histogram(
    "agentfleet_llm_call_duration_seconds",
    "From sending a call to its final usage.",
    ("tier", "model"),
    buckets=_WORK,
)
LLM_TOKENS = _counter(
    "agentfleet_llm_tokens_total",
    "Tokens billed, by kind: input, cache_read, cache_write_5m, cache_write_1h, output.",
    ("tier", "model", "kind"),
)

# Ledger: what it costs.
SPENT_USD = _counter(
    "agentfleet_spent_usd_total", "Money booked as spent, by tenant and tier.", ("tenant", "tier")
)
UNCONFIRMED_USD = _counter(
    "agentfleet_unconfirmed_usd_total",
    "The part of it charged at the worst case, without the provider's word.",
    ("tenant",),
)
OVERRUN_USD = _counter(
    "agentfleet_overrun_usd_total",
    "Money by which real costs passed their holds; not 0 means a wrong worst case.",
    ("tenant",),
)
RESERVES = _counter(
    "agentfleet_reserves_total",
    "Reserves by outcome: reserved, blocked_by_holds, exhausted, stale.",
    ("outcome",),
)
HOLDS = _gauge("agentfleet_holds", "Holds that this process has open now.")
LEDGER_SECONDS = _histogram(
    "agentfleet_ledger_operation_duration_seconds",
    "One ledger operation, as its caller waits for it.",
    ("operation",),
    buckets=_FAST,
)

# Operator: money and size as decided. Set by the leader alone.
BUDGET_SPENT_USD = _gauge(
    "agentfleet_budget_spent_usd", "Spent in the window that holds now.", ("tenant", "limit")
)
BUDGET_HELD_USD = _gauge("agentfleet_budget_held_usd", "Held now.", ("tenant", "limit"))
BUDGET_LIMIT_USD = _gauge("agentfleet_budget_limit_usd", "The limit's amount.", ("tenant", "limit"))
REPLICAS_WANTED = _gauge("agentfleet_pool_replicas_wanted", "Workers that a pool should have.", ("pool",))
REPLICAS_READY = _gauge("agentfleet_pool_replicas_ready", "Workers of a pool that are ready.", ("pool",))
POOL_LIMITED = _gauge(
    "agentfleet_pool_limited",
    "1 for the reason that holds a pool below what its promise needs.",
    ("pool", "reason"),
)
SCALE_EVENTS = _counter(
    "agentfleet_scale_events_total",
    "Changes of a pool's wanted replicas, by direction (up, down) and reason.",
    ("pool", "direction", "reason"),
)
PLAN_SECONDS = _histogram(
    "agentfleet_plan_duration_seconds", "One round of the autoscaling loop: read, plan, apply.", buckets=_FAST
)
LEADER = _gauge("agentfleet_operator_leader", "1 while this operator leads, else 0.")
API_WRITES = _counter(
    "agentfleet_kubernetes_writes_total",
    "Writes to the API server, by kind and outcome.",
    ("kind", "outcome"),
)
CONFIG_VERSION = _gauge(
    "agentfleet_fleet_config_version", "The version of the fleet config that this process follows."
)


class TenantLabels:
    """Bounds the tenant label: tenants that have a TenantBudget by name, whoever else as `other`."""

    OTHER = "other"

    def __init__(self, most: int = 1_000) -> None:
        self._most = most
        self._of_fleets: dict[str, frozenset[str]] = {}
        self._known: frozenset[str] = frozenset()

    def follow(self, tenants: Iterable[str], *, fleet: str = "") -> None:
        """Call on each new config of a fleet. Past `most` names, in order, the rest share `other`."""
        self._of_fleets[fleet] = frozenset(tenants)
        self._known = frozenset(sorted(frozenset().union(*self._of_fleets.values()))[: self._most])

    def of(self, tenant: str) -> str:
        return tenant if tenant in self._known else self.OTHER


TENANTS = TenantLabels()


def exposition() -> bytes:
    """The text that a scrape gets."""
    return generate_latest(REGISTRY)
