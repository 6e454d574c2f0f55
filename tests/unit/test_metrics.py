"""Metrics keep Prometheus' rules, and no label can grow without bound."""

import re

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from agentfleet_core.telemetry import metrics

DECLARED = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
UNITS = ("_seconds", "_usd", "_tokens", "_bytes")
LABELS = {
    "pool", "task_type", "tenant", "tier", "model", "limit",  # named in manifests
    "outcome", "state", "kind", "reason", "direction", "operation",  # words of an enum
    "method", "route", "status",  # of our own routes
}  # fmt: skip


def test_every_name_has_the_prefix_and_its_words_are_snake_case() -> None:
    assert DECLARED
    for metric in DECLARED:
        assert re.fullmatch(r"agentfleet(_[a-z]+)+", metric._name), metric._name
        assert metric._documentation.endswith("."), metric._name


def test_counters_end_in_total_and_nothing_else_does() -> None:
    text = metrics.exposition().decode()
    for metric in DECLARED:
        if isinstance(metric, Counter):
            assert f"# TYPE {metric._name}_total counter" in text
        else:
            assert not metric._name.endswith("_total")


def test_times_and_money_are_in_base_units_said_last() -> None:
    for metric in DECLARED:
        assert not re.search(r"_(ms|millis|minutes|nano|cents|dollars)(_|$)", metric._name)
        if isinstance(metric, Histogram):
            assert metric._name.endswith(UNITS)


def test_labels_are_bounded_words_never_ids() -> None:
    for metric in DECLARED:
        assert set(metric._labelnames) <= LABELS, metric._name


def test_gauges_and_counters_of_budgets_exist_for_the_operator_and_the_worker() -> None:
    names = {metric._name for metric in DECLARED if isinstance(metric, Gauge | Counter)}
    assert {"agentfleet_budget_spent_usd", "agentfleet_budget_held_usd", "agentfleet_budget_limit_usd",
            "agentfleet_spent_usd", "agentfleet_holds", "agentfleet_pool_replicas_wanted",
            "agentfleet_pool_replicas_ready", "agentfleet_queue_tasks"} <= names  # fmt: skip


def test_a_tenant_without_a_budget_shares_the_label_other() -> None:
    tenants = metrics.TenantLabels(most=2)
    assert tenants.of("acme") == "other"
    tenants.follow(["globex", "acme", "umbrella"])
    assert [tenants.of(name) for name in ("acme", "globex", "umbrella", "made-up")] == [
        "acme", "globex", "other", "other",
    ]  # fmt: skip


def test_one_operator_knows_the_tenants_of_each_of_its_fleets() -> None:
    tenants = metrics.TenantLabels()
    tenants.follow(["acme"], fleet="shop")
    tenants.follow(["globex"], fleet="bank")
    tenants.follow(["umbrella"], fleet="bank")
    assert [tenants.of(name) for name in ("acme", "globex", "umbrella")] == ["acme", "other", "umbrella"]
