"""Manifests become the fleet config; what is wrong with one object is said on it and stops no other."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest

from agentfleet_core.api.conditions import Reason
from agentfleet_core.api.v1alpha1 import AgentPool, AnyResource, ModelTier, TaskType, TenantBudget
from agentfleet_core.fleet.compile import Compiled, compile_fleet, secret_names
from agentfleet_core.fleet.revision import pool_revision
from agentfleet_core.settings import FleetId

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
FLEET = FleetId("test", "shop")
PRICE = {"input": "1", "output": "5", "cacheRead": "0.1", "cacheWrite5m": "1.25", "cacheWrite1h": "2"}
SECRETS = {
    "anthropic": {"api-key": b"sk-1\n"},
    "acme-key": {"api-key": b"acme-old\nacme-new\n"},
    "globex-key": {"api-key": b"globex"},
    "agentfleet-admin": {"api-key": b"root"},
}


def pool(name: str = "interactive", **spec: Any) -> AgentPool:
    return AgentPool.model_validate({"metadata": {"name": name}, "spec": spec})


def tier(name: str, rank: int, effective_from: str = "2026-01-01", **provider: Any) -> ModelTier:
    provider = provider or {"apiKeySecretRef": {"name": "anthropic"}}
    models = [{"name": f"model-{name}", "prices": [{"effectiveFrom": effective_from, "bands": [PRICE]}]}]
    return ModelTier.model_validate(
        {"metadata": {"name": name}, "spec": {"rank": rank, "provider": provider, "models": models}}
    )


def task_type(name: str = "refund", **spec: Any) -> TaskType:
    base = {"pool": "interactive", "tier": {"default": "fast"}, "handler": "shop.agents:refund"}
    return TaskType.model_validate({"metadata": {"name": name}, "spec": base | spec})


def budget(name: str = "acme", created: str = "", **spec: Any) -> TenantBudget:
    base = {
        "tenant": name,
        "limits": [{"name": "day", "period": "Day", "amount": "5"}],
        "apiKeySecretRef": {"name": f"{name}-key"},
    }
    metadata = {"name": name, "creationTimestamp": created}
    return TenantBudget.model_validate({"metadata": metadata, "spec": base | spec})


GOOD: list[AnyResource] = [
    pool(),
    tier("fast", 1),
    tier("capable", 2),
    task_type(),
    budget(),
    budget("globex"),
]


def compiled(*resources: AnyResource, **options: Any) -> Compiled:
    return compile_fleet(FLEET, resources, options.pop("secrets", SECRETS), NOW, **options)


def verdict(result: Compiled, name: str) -> tuple[bool, str, bool]:
    (one,) = [one for one in result.conditions if one.name == name]
    return one.accepted, one.reason, one.in_use


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_good_manifests_are_all_in_the_config_and_all_accepted() -> None:
    result = compiled(*GOOD)
    assert result.findings == ()
    assert {one.reason for one in result.conditions} == {Reason.ACCEPTED}
    config = result.config
    assert (config.install, config.namespace) == ("test", "shop")
    assert [*config.pools, *config.task_types, *config.tenants, *config.tiers] == [
        "interactive", "refund", "acme", "globex", "capable", "fast",
    ]  # fmt: skip
    assert config.pools["interactive"].revision == pool_revision(pool().spec)


def test_keys_stand_in_the_config_only_as_hashes_one_for_each_line_of_the_secret() -> None:
    config = compiled(*GOOD).config
    assert config.tenants["acme"].key_hashes == sorted([sha("acme-old"), sha("acme-new")])
    assert config.admin_key_hashes == [sha("root")]
    text = config.model_dump_json()
    assert not any(key in text for key in ("acme-old", "acme-new", "sk-1", '"root"'))


def test_only_the_secrets_that_are_referred_to_are_asked_for() -> None:
    assert secret_names(GOOD) == {"anthropic", "acme-key", "globex-key", "agentfleet-admin"}


def test_the_same_content_compiles_alike_whatever_the_order_of_the_objects() -> None:
    assert compiled(*GOOD).config == compiled(*reversed(GOOD)).config


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({"concurrency": 9}, False),
        ({"scaling": {"maxReplicas": 3}}, False),
        ({"paused": True}, False),
        ({"replicas": 2}, False),
        ({"worker": {"image": "shop/agents:2"}}, True),
        ({"worker": {"resources": {"requests": {"cpu": "1"}}}}, True),
        ({"worker": {"podOverlay": {"spec": {"priorityClassName": "high"}}}}, True),
        ({"terminationGracePeriodSeconds": 5}, True),
    ],
)
def test_the_revision_moves_with_the_workers_pod_and_with_nothing_else(
    change: dict[str, Any], moves: bool
) -> None:
    assert (pool_revision(pool(**change).spec) != pool_revision(pool().spec)) is moves


FINDINGS = [
    (
        "no pool",
        task_type(pool="interactve"),
        "spec.pool",
        Reason.REFERENCE_NOT_FOUND,
        "did you mean interactive?",
    ),
    (
        "no second pool",
        task_type(pools=["x"]),
        "spec.pools[0]",
        Reason.REFERENCE_NOT_FOUND,
        "there is interactive",
    ),
    (
        "no tier",
        task_type(tier={"default": "fast", "lowest": "fats"}),
        "spec.tier.lowest",
        Reason.REFERENCE_NOT_FOUND,
        '"fats" names no ModelTier; did you mean fast?',
    ),
    (
        "bounds swapped",
        task_type(tier={"default": "capable", "highest": "fast"}),
        "spec.tier.highest",
        Reason.TIER_OUT_OF_ORDER,
        'default "capable" has rank 2, above highest "fast" with rank 1',
    ),
    (
        "lowest above default",
        task_type(tier={"default": "fast", "lowest": "capable"}),
        "spec.tier.lowest",
        Reason.TIER_OUT_OF_ORDER,
        "swap them",
    ),
    (
        "no schema",
        task_type(inputSchema={"type": "objekt"}),
        "spec.inputSchema.type",
        Reason.INVALID_SCHEMA,
        "objekt",
    ),
    (
        "schema elsewhere",
        task_type(inputSchema={"properties": {"a": {"$ref": "https://example.com/a.json"}}}),
        "spec.inputSchema.properties.a.$ref",
        Reason.INVALID_SCHEMA,
        "only to itself",
    ),
    (
        "schema of another dialect",
        task_type(inputSchema={"$schema": "http://json-schema.org/draft-07/schema#"}),
        "spec.inputSchema.$schema",
        Reason.INVALID_SCHEMA,
        "2020-12",
    ),
    (
        "schema whose pattern is none",
        task_type(inputSchema={"properties": {"a": {"pattern": "("}}}),
        "spec.inputSchema.properties.a.pattern",
        Reason.INVALID_SCHEMA,
        "regex",
    ),
    (
        "overlay takes a list away",
        pool("p", worker={"podOverlay": {"spec": {"volumes": None}}}),
        "spec.worker.podOverlay.spec.volumes",
        Reason.FORBIDDEN_OVERLAY,
        "must be a list",
    ),
    (
        "overlay mounts over the keys",
        pool(
            "p",
            worker={
                "podOverlay": {
                    "spec": {
                        "containers": [
                            {"name": "worker", "volumeMounts": [{"mountPath": "/var/run/agentfleet/secrets"}]}
                        ]
                    }
                }
            },
        ),
        "spec.worker.podOverlay.spec.containers[0].volumeMounts[0].mountPath",
        Reason.FORBIDDEN_OVERLAY,
        "mounted by the operator",
    ),
    (
        "overlay sets our environment",
        pool(
            "p",
            worker={
                "podOverlay": {
                    "spec": {"containers": [{"name": "worker", "env": [{"name": "AGENTFLEET_POOL"}]}]}
                }
            },
        ),
        "spec.worker.podOverlay.spec.containers[0].env[0].name",
        Reason.FORBIDDEN_OVERLAY,
        "AGENTFLEET_POOL is set by the operator",
    ),
    (
        "overlay has a container without a name",
        pool("p", worker={"podOverlay": {"spec": {"containers": [{"image": "x"}]}}}),
        "spec.worker.podOverlay.spec.containers[0]",
        Reason.FORBIDDEN_OVERLAY,
        "needs its name",
    ),
    (
        "reference to nothing inside a schema",
        task_type(outputSchema={"properties": {"a": {"$ref": "#/$defs/a"}}}),
        "spec.outputSchema",
        Reason.INVALID_SCHEMA,
        "/$defs/a",
    ),
    (
        "prompt names no input",
        task_type(
            handler=None,
            agent={"prompt": "Order {{ input.odrer }}"},
            inputSchema={"properties": {"order": {"type": "string"}}},
        ),
        "spec.agent.prompt",
        Reason.INVALID_TEMPLATE,
        "did you mean order?",
    ),
    (
        "prompt is no template",
        task_type(handler=None, agent={"prompt": "Order {{ order }}"}),
        "spec.agent.prompt",
        Reason.INVALID_TEMPLATE,
        "write {{ input.NAME }}",
    ),
    (
        "time zone",
        budget(limits=[{"name": "day", "period": "Day", "amount": "1", "timeZone": "Europe/Berln"}]),
        "spec.limits[0].timeZone",
        Reason.UNKNOWN_TIME_ZONE,
        "Europe/Berln",
    ),
    (
        "time zone outside the database",
        budget(limits=[{"name": "day", "period": "Day", "amount": "1", "timeZone": "../../etc/passwd"}]),
        "spec.limits[0].timeZone",
        Reason.UNKNOWN_TIME_ZONE,
        "no IANA",
    ),
    (
        "limit on no type",
        budget(limits=[{"name": "day", "period": "Day", "amount": "1", "taskType": "refnd"}]),
        "spec.limits[0].taskType",
        Reason.REFERENCE_NOT_FOUND,
        "did you mean refund?",
    ),
    (
        "limit on no tier",
        budget(limits=[{"name": "day", "period": "Day", "amount": "1", "tier": "gold"}]),
        "spec.limits[0].tier",
        Reason.REFERENCE_NOT_FOUND,
        "there are capable, fast",
    ),
    (
        "no secret",
        budget(apiKeySecretRef={"name": "acme-kee"}),
        "spec.apiKeySecretRef.name",
        Reason.SECRET_NOT_FOUND,
        "did you mean acme-key?",
    ),
    (
        "no key in the secret",
        budget(apiKeySecretRef={"name": "acme-key", "key": "token"}),
        "spec.apiKeySecretRef.key",
        Reason.SECRET_NOT_FOUND,
        "there is api-key",
    ),
    (
        "overlay touches the image",
        pool("p", worker={"podOverlay": {"spec": {"containers": [{"name": "worker", "image": "x"}]}}}),
        "spec.worker.podOverlay.spec.containers[0].image",
        Reason.FORBIDDEN_OVERLAY,
        "spec.worker.image",
    ),
    (
        "overlay touches our labels",
        pool("p", worker={"podOverlay": {"metadata": {"labels": {"agentfleet.dev/pool": "x"}}}}),
        "spec.worker.podOverlay.metadata.labels[agentfleet.dev/pool]",
        Reason.FORBIDDEN_OVERLAY,
        "another prefix",
    ),
    (
        "overlay touches the service account",
        pool("p", worker={"podOverlay": {"spec": {"serviceAccountName": "admin"}}}),
        "spec.worker.podOverlay.spec.serviceAccountName",
        Reason.FORBIDDEN_OVERLAY,
        "service account",
    ),
    (
        "no price today",
        tier("late", 3, effective_from="2026-11-25"),
        "spec.models[0].prices",
        Reason.NO_PRICE_YET,
        "before 2026-11-25",
    ),
    (
        "nobody pays",
        tier("nokey", 3, type="Anthropic"),
        "spec.provider",
        Reason.PROVIDER_INCOMPLETE,
        "apiKeySecretRef",
    ),
]


@pytest.mark.parametrize(
    ("bad", "field", "reason", "words"), [row[1:] for row in FINDINGS], ids=[row[0] for row in FINDINGS]
)
def test_what_only_all_objects_together_show_is_named_on_the_object(
    bad: AnyResource, field: str, reason: Reason, words: str
) -> None:
    others = [one for one in GOOD if (one.kind, one.metadata.name) != (bad.kind, bad.metadata.name)]
    result = compiled(*others, bad)
    (finding,) = result.findings
    assert (finding.kind, finding.name, finding.field) == (bad.kind, bad.metadata.name, field)
    assert finding.reason == reason
    assert words in finding.message
    accepted, said, in_use = verdict(result, bad.metadata.name)
    assert (accepted, said, in_use) == (False, reason, False)


def test_of_two_budgets_for_one_tenant_the_older_holds_and_the_younger_is_told() -> None:
    older = budget("acme", created="2026-01-01T00:00:00Z")
    younger = budget("acme-2", created="2026-02-01T00:00:00Z", tenant="acme", apiKeySecretRef=None)
    for order in ([older, younger], [younger, older]):
        result = compiled(*GOOD[:4], *order)
        assert result.config.tenants["acme"].budget == "acme"
        assert verdict(result, "acme")[0] is True
        assert verdict(result, "acme-2") == (False, Reason.DUPLICATE_TENANT, False)


def test_two_tenants_with_one_key_are_told_so_and_the_key_opens_nothing() -> None:
    first = compiled(*GOOD).config
    shared = SECRETS | {"globex-key": {"api-key": b"acme-new"}}
    result = compiled(*GOOD, secrets=shared, previous=first)
    assert {one.reason for one in result.findings} == {Reason.KEY_SHARED}
    assert result.config.tenants["acme"].key_hashes == [sha("acme-old")]
    assert result.config.tenants["globex"].key_hashes == []


def test_a_typo_keeps_what_was_accepted_before_and_heals_by_itself() -> None:
    first = compiled(*GOOD).config
    broken = task_type(tier={"default": "fats"}, priority=99)
    second = compiled(*GOOD[:3], broken, *GOOD[4:], previous=first)
    assert verdict(second, "refund") == (False, Reason.REFERENCE_NOT_FOUND, True)
    assert "What was accepted before goes on" in second.conditions[3].message
    assert second.config == first
    mended = compiled(*GOOD[:3], task_type(priority=99), *GOOD[4:], previous=second.config)
    assert mended.findings == ()
    assert mended.config.task_types["refund"].priority == 99


def test_a_pause_is_obeyed_though_the_rest_of_the_object_is_broken() -> None:
    first = compiled(*GOOD).config
    bad_overlay = {"podOverlay": {"spec": {"restartPolicy": "Never"}}}
    zone = [{"name": "day", "period": "Day", "amount": "9", "timeZone": "Nowhere"}]
    changed = [pool(paused=True, worker=bad_overlay), *GOOD[1:4], budget(paused=True, limits=zone)]
    config = compiled(*changed, previous=first).config
    assert config.pools["interactive"].spec.paused is True
    assert config.pools["interactive"].revision == first.pools["interactive"].revision
    assert config.tenants["acme"].spec.paused is True
    assert config.tenants["acme"].spec.limits[0].amount == "5"


def test_a_key_taken_out_of_its_secret_is_revoked_at_once() -> None:
    first = compiled(*GOOD).config
    gone = {name: data for name, data in SECRETS.items() if name != "acme-key"}
    config = compiled(*GOOD, secrets=gone, previous=first).config
    assert config.tenants["acme"].key_hashes == []


def test_the_config_never_refers_to_what_is_not_in_it() -> None:
    bad_tier = tier("fast", 1, effective_from="2030-01-01")
    result = compiled(pool(), bad_tier, task_type(), budget(), budget("globex"))
    assert result.config.tiers == {}
    assert result.config.task_types == {}
    assert verdict(result, "refund") == (False, Reason.REFERENCE_NOT_ACCEPTED, False)


def test_a_deleted_pool_stays_known_while_its_workers_drain() -> None:
    dying = pool()
    metadata = dying.metadata.model_copy(update={"deletion_timestamp": "2026-11-24T11:59:00Z"})
    result = compiled(dying.model_copy(update={"metadata": metadata}), *GOOD[1:])
    assert result.config.pools["interactive"].deleting is True
