"""Good manifests of the four kinds, and the changes that make each of them bad in one way."""

import copy
import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any

GONE = object()
"""As a change's value: the field is taken away."""

Manifest = dict[str, Any]

_BAND = {
    "input": "0.50",
    "output": "2.50",
    "cacheRead": "0.05",
    "cacheWrite5m": "0.625",
    "cacheWrite1h": "1.00",
}
_BOUNDED = {"maxPromptTokens": 9, **_BAND}
_LATER = {"effectiveFrom": "2026-10-07", "bands": [_BAND]}

GOOD: Mapping[str, Manifest] = {
    "AgentPool": {
        "apiVersion": "agentfleet.dev/v1alpha1",
        "kind": "AgentPool",
        "metadata": {"name": "interactive"},
        "spec": {
            "lane": "Interactive",
            "concurrency": 4,
            "scaling": {"minReplicas": 0, "maxReplicas": 20, "maxSpendPerHour": "40.00"},
            "bulkhead": {"maxRunningPerTenant": 40},
            "worker": {
                "image": "shop/agents:1.4.2",
                "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"cpu": 1}},
                "podOverlay": {"spec": {"priorityClassName": "agents", "containers": [{"name": "log"}]}},
            },
        },
    },
    "ModelTier": {
        "apiVersion": "agentfleet.dev/v1alpha1",
        "kind": "ModelTier",
        "metadata": {"name": "fast"},
        "spec": {
            "rank": 1,
            "provider": {"type": "Anthropic", "apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
            "models": [
                {
                    "name": "claude-haiku-5-5",
                    "prices": [
                        {
                            "effectiveFrom": "2026-10-07",
                            "bands": [{"maxPromptTokens": 100_000, **_BAND}, dict(_BAND)],
                        }
                    ],
                }
            ],
        },
    },
    "TaskType": {
        "apiVersion": "agentfleet.dev/v1alpha1",
        "kind": "TaskType",
        "metadata": {"name": "refund-request", "labels": {"team": "support"}},
        "spec": {
            "pool": "interactive",
            "priority": 100,
            "tier": {"default": "fast"},
            "agent": {
                "system": "You decide on refunds.",
                "prompt": "Order {{ input.order }}: {{ input.message }}",
                "tools": ["shop.tools:lookup_order"],
                "maxTurns": 6,
            },
            "inputSchema": {
                "type": "object",
                "required": ["order", "message"],
                "properties": {"order": {"type": "string"}, "message": {"type": "string"}},
            },
            "timeouts": {"taskSeconds": 120},
            "retry": {"maxAttempts": 4},
        },
    },
    "TenantBudget": {
        "apiVersion": "agentfleet.dev/v1alpha1",
        "kind": "TenantBudget",
        "metadata": {"name": "globex"},
        "spec": {
            "tenant": "globex",
            "limits": [
                {"name": "day", "period": "Day", "timeZone": "Europe/Berlin", "amount": "100.00"},
                {"name": "refunds", "period": "Month", "amount": "400", "taskType": "refund-request"},
            ],
            "maxRunning": 200,
            "fairShareWeight": 2,
            "apiKeySecretRef": {"name": "globex-key"},
        },
    },
}

WORKFLOW = {
    "steps": [
        {"name": "facts", "handler": "shop.agents:facts"},
        {"name": "answer", "handler": "shop.agents:answer", "dependsOn": ["facts"]},
    ]
}


class Refusal(Enum):
    """Who says no."""

    SCHEMA = "the API server, by the schema"
    UNKNOWN = "the API server, asked to be strict as kubectl asks"
    RULE = "the API server, by a CEL rule"
    UNSERVED = "the API server, which serves no such kind"
    CONDITION = "the operator, by a condition"


@dataclasses.dataclass(frozen=True)
class Bad:
    """One change to a good manifest. Paths are those of the errors: `spec.limits[0].amount`."""

    what: str
    kind: str
    changes: Mapping[str, Any]
    field: str
    by: Refusal
    says: str = ""
    """In what `validate` says; of a rule the whole sentence, which is also the server's."""
    before: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Changes that the object had when it was created: then the change above is an update."""
    updates: bool = False


S, U, R, N, C = Refusal.SCHEMA, Refusal.UNKNOWN, Refusal.RULE, Refusal.UNSERVED, Refusal.CONDITION

POOLS = (
    Bad("a misspelt lane", "AgentPool", {"spec.lane": "Interactve"}, "spec.lane", S,
        "did you mean Interactive?"),
    Bad("a number in quotes", "AgentPool", {"spec.concurrency": "4"}, "spec.concurrency", S,
        "a whole number"),
    Bad("half a slot", "AgentPool", {"spec.concurrency": 1.5}, "spec.concurrency", S, "a whole number"),
    Bad("no slot", "AgentPool", {"spec.concurrency": 0}, "spec.concurrency", S, "1 is the least"),
    Bad("absurd concurrency", "AgentPool", {"spec.concurrency": 10**6}, "spec.concurrency", S,
        "1000 is the most"),
    Bad("beyond 64 bits", "AgentPool", {"spec.maxQueued": 2**70}, "spec.maxQueued", S, "a whole number"),
    Bad("a word for a switch", "AgentPool", {"spec.paused": "yes"}, "spec.paused", S, "true or false"),
    Bad("null for a pool", "TaskType", {"spec.pool": None}, "spec.pool", S, "is required"),
    Bad("money as a number", "AgentPool", {"spec.scaling.maxSpendPerHour": 40.5},
        "spec.scaling.maxSpendPerHour", S, 'put quotes around it, as in "40.5"'),
    Bad("negative money", "AgentPool", {"spec.scaling.maxSpendPerHour": "-1"},
        "spec.scaling.maxSpendPerHour", S, "an amount of USD"),
    Bad("a quantity of nothing", "AgentPool", {"spec.worker.resources.requests.memory": "lots"},
        "spec.worker.resources.requests.memory", S, "a Kubernetes quantity"),
    Bad("a list for an object", "AgentPool", {"spec.scaling": []}, "spec.scaling", S,
        "an object, not a list"),
    Bad("nothing but a name", "AgentPool", {"spec": GONE}, "spec", S, "is required"),
    Bad("a name with capitals", "AgentPool", {"metadata.name": "Interactive"}, "metadata.name", S,
        "lower-case"),
    Bad("a name of 64 characters", "AgentPool", {"metadata.name": "a" * 64}, "metadata.name", S,
        "at most 63"),
    Bad("a label with a space", "AgentPool", {"metadata.labels": {"team": "a b"}}, "metadata.labels", S,
        "label"),
    Bad("a misspelt field", "AgentPool", {"spec.worker.imgae": "x"}, "spec.worker.imgae", U,
        "did you mean image?"),
    Bad("a misspelt field of metadata", "AgentPool", {"metadata.lables": {"a": "b"}}, "metadata.lables", U,
        "did you mean labels?"),
    Bad("a version that is not served", "AgentPool", {"apiVersion": "agentfleet.dev/v1"}, "apiVersion", N,
        "write agentfleet.dev/v1alpha1"),
    Bad("a kind that does not exist", "AgentPool", {"kind": "AgentPol"}, "kind", N,
        "did you mean AgentPool?"),
    Bad("min above max", "AgentPool", {"spec.scaling.minReplicas": 5, "spec.scaling.maxReplicas": 3},
        "spec.scaling.minReplicas", R,
        "5 is above maxReplicas 3; lower it to 3 or less, or raise maxReplicas"),
    Bad("min above the default max", "AgentPool", {"spec.scaling": {"minReplicas": 11}},
        "spec.scaling.minReplicas", R,
        "11 is above maxReplicas 10; lower it to 10 or less, or raise maxReplicas"),
    Bad("another lane", "AgentPool", {"spec.lane": "Batch"}, "spec.lane", R,
        "lane is immutable; make another AgentPool and name it in the task types", updates=True),
    Bad("another lane than the default", "AgentPool", {"spec.lane": "Batch"}, "spec.lane", R,
        "lane is immutable; make another AgentPool and name it in the task types",
        before={"spec.lane": GONE}, updates=True),
    Bad("an overlay that changes the service account", "AgentPool",
        {"spec.worker.podOverlay.spec.serviceAccountName": "admin"},
        "spec.worker.podOverlay.spec.serviceAccountName", C, "service account"),
    Bad("an overlay that changes our labels", "AgentPool",
        {"spec.worker.podOverlay.metadata": {"labels": {"agentfleet.dev/pool": "other"}}},
        "spec.worker.podOverlay.metadata.labels[agentfleet.dev/pool]", C, "choose another prefix"),
    Bad("an overlay that takes the containers away", "AgentPool",
        {"spec.worker.podOverlay.spec.containers": None},
        "spec.worker.podOverlay.spec.containers", C, "must be a list"),
)  # fmt: skip

TIERS = (
    Bad("no rank", "ModelTier", {"spec.rank": GONE}, "spec.rank", S, "is required"),
    Bad("no model", "ModelTier", {"spec.models": []}, "spec.models", S, "at least 1"),
    Bad("a provider nobody speaks to", "ModelTier", {"spec.provider.type": "OpenAI"}, "spec.provider.type",
        S,
        "Anthropic"),
    Bad("an address without a scheme", "ModelTier", {"spec.provider.baseUrl": "api.example.com"},
        "spec.provider.baseUrl", S, "http://"),
    Bad("a day that does not exist", "ModelTier", {"spec.models[0].prices[0].effectiveFrom": "2026-02-31"},
        "spec.models[0].prices[0].effectiveFrom", S, "no day of the calendar"),
    Bad("a price in scientific notation", "ModelTier", {"spec.models[0].prices[0].bands[1].input": "1e-3"},
        "spec.models[0].prices[0].bands[1].input", S, "an amount of USD"),
    Bad("a price without its cache", "ModelTier", {"spec.models[0].prices[0].bands[0].cacheRead": GONE},
        "spec.models[0].prices[0].bands[0].cacheRead", S, "is required"),
    Bad("a last band with an end", "ModelTier",
        {"spec.models[0].prices[0].bands[1].maxPromptTokens": 200_000},
        "spec.models[0].prices[0].bands", R,
        "the last band must have no maxPromptTokens, so that every prompt has a price"),
    Bad("bands that do not ascend", "ModelTier",
        {"spec.models[0].prices[0].bands": [_BOUNDED, _BOUNDED, _BAND]},
        "spec.models[0].prices[0].bands", R, "bands must ascend by maxPromptTokens; sort them"),
    Bad("a first band without an end", "ModelTier", {"spec.models[0].prices[0].bands": [_BAND, _BAND]},
        "spec.models[0].prices[0].bands", R,
        "only the last band may have no maxPromptTokens; give the others one"),
    Bad("one model twice", "ModelTier",
        {"spec.models[1]": {"name": "claude-haiku-5-5", "prices": [_LATER]}},
        "spec.models", R, "model claude-haiku-5-5 stands twice; keep one of them"),
    Bad("two prices from one day on", "ModelTier",
        {"spec.models[0].prices[1]": _LATER},
        "spec.models[0].prices", R, "two prices begin on the same day; keep one of them"),
    Bad("a price that begins tomorrow", "ModelTier",
        {"spec.models[0].prices[0].effectiveFrom": "2099-01-01"},
        "spec.models[0].prices", C, "add the price that holds today"),
    Bad("a provider without a key", "ModelTier", {"spec.provider.apiKeySecretRef": GONE}, "spec.provider",
        C,
        "set apiKeySecretRef"),
)  # fmt: skip

TYPES = (
    Bad("no pool", "TaskType", {"spec.pool": GONE}, "spec.pool", S, "is required"),
    Bad("a priority above all", "TaskType", {"spec.priority": 101}, "spec.priority", S, "100 is the most"),
    Bad("a tool that is no function", "TaskType", {"spec.agent.tools": ["lookup"]}, "spec.agent.tools[0]",
        S,
        "module:function"),
    Bad("an empty prompt", "TaskType", {"spec.agent.prompt": ""}, "spec.agent.prompt", S,
        "must not be empty"),
    Bad("one tool twice", "TaskType", {"spec.agent.tools": ["a:b", "a:b"]}, "spec.agent.tools[1]", S,
        "stands twice"),
    Bad("a misspelt timeout", "TaskType", {"spec.timeouts.taskSecond": 5}, "spec.timeouts.taskSecond", U,
        "did you mean taskSeconds?"),
    Bad("agent and handler", "TaskType", {"spec.handler": "shop.agents:refund"}, "spec.agent", R,
        "set exactly one of agent, handler and workflow"),
    Bad("nothing to run", "TaskType", {"spec.agent": GONE}, "spec.agent", R,
        "set exactly one of agent, handler and workflow"),
    Bad("its pool twice", "TaskType", {"spec.pools": ["interactive"]}, "spec.pools", R,
        "pools lists further pools; take the one that stands in pool out of it"),
    Bad("backing off beyond the end", "TaskType", {"spec.retry": {"backoffSeconds": 90}},
        "spec.retry.backoffSeconds", R,
        "90 is above maxBackoffSeconds 60; lower it, or raise maxBackoffSeconds"),
    Bad("a step twice", "TaskType",
        {"spec.agent": GONE, "spec.workflow": WORKFLOW, "spec.workflow.steps[2]": WORKFLOW["steps"][0]},
        "spec.workflow.steps", R, "step facts stands twice; give each step a name of its own"),
    Bad("a step that depends on a later one", "TaskType",
        {"spec.agent": GONE, "spec.workflow": WORKFLOW, "spec.workflow.steps[0].dependsOn": ["answer"]},
        "spec.workflow.steps", R,
        "step facts depends on what is no earlier step; correct the name, or move it up"),
    Bad("a step that depends on nothing there is", "TaskType",
        {"spec.agent": GONE, "spec.workflow": WORKFLOW, "spec.workflow.steps[1].dependsOn": ["fact"]},
        "spec.workflow.steps", R,
        "step answer depends on what is no earlier step; correct the name, or move it up"),
    Bad("a pool that does not exist", "TaskType", {"spec.pool": "interactve"}, "spec.pool", C,
        "did you mean interactive?"),
    Bad("a tier that does not exist", "TaskType", {"spec.tier.lowest": "fats"}, "spec.tier.lowest", C,
        '"fats" names no ModelTier; did you mean fast?'),
    Bad("an input schema that is none", "TaskType", {"spec.inputSchema.type": "objekt"},
        "spec.inputSchema.type", C,
        "no JSON Schema"),
    Bad("a schema that refers to another document", "TaskType",
        {"spec.outputSchema": {"$ref": "https://example.com/a.json"}}, "spec.outputSchema.$ref", C,
        "only to itself"),
    Bad("a prompt with a field that is not in the input", "TaskType",
        {"spec.agent.prompt": "{{ input.odrer }}"},
        "spec.agent.prompt", C, "did you mean order?"),
)  # fmt: skip

BUDGETS = (
    Bad("no tenant", "TenantBudget", {"spec.tenant": GONE}, "spec.tenant", S, "is required"),
    Bad("a tenant that is no label", "TenantBudget", {"spec.tenant": "globex_inc"}, "spec.tenant", S,
        "lower-case"),
    Bad("a period nobody knows", "TenantBudget", {"spec.limits[0].period": "Week"},
        "spec.limits[0].period", S,
        "there are Day, Hour, Month, Total"),
    Bad("more than nine million", "TenantBudget", {"spec.limits[0].amount": "9000000.01"},
        "spec.limits[0].amount", S, "at most 9000000"),
    Bad("ten decimals", "TenantBudget", {"spec.limits[0].amount": "0.0000000001"},
        "spec.limits[0].amount", S, "an amount of USD"),
    Bad("an amount without quotes", "TenantBudget", {"spec.limits[0].amount": 100},
        "spec.limits[0].amount", S,
        'put quotes around it, as in "100"'),
    Bad("digits of another script", "TenantBudget", {"spec.limits[0].amount": "١٠٠"},
        "spec.limits[0].amount", S,
        "an amount of USD"),
    Bad("an amount with a line break", "TenantBudget", {"spec.limits[0].amount": "100\n"},
        "spec.limits[0].amount", S, "an amount of USD"),
    Bad("17 limits", "TenantBudget",
        {"spec.limits": [{"name": f"l{n}", "period": "Day", "amount": "1"} for n in range(17)]},
        "spec.limits", S, "at most 16"),
    Bad("one limit twice", "TenantBudget",
        {"spec.limits[2]": {"name": "day", "period": "Month", "amount": "1"}}, "spec.limits[2]", S,
        "stands twice"),
    Bad("a misspelt limit", "TenantBudget", {"spec.limits[0].timezone": "UTC"}, "spec.limits[0].timezone",
        U,
        "did you mean timeZone?"),
    Bad("another tenant", "TenantBudget", {"spec.tenant": "acme"}, "spec.tenant", R,
        "tenant is immutable; make another TenantBudget for the other tenant", updates=True),
    Bad("a time zone nobody lives in", "TenantBudget", {"spec.limits[0].timeZone": "Europe/Berln"},
        "spec.limits[0].timeZone", C, "no IANA time zone"),
    Bad("a limit for a type that does not exist", "TenantBudget", {"spec.limits[1].taskType": "refund"},
        "spec.limits[1].taskType", C, "did you mean refund-request?"),
    Bad("a second budget for the tenant", "TenantBudget", {"metadata.name": "zz-globex"}, "spec.tenant", C,
        "TenantBudget globex is for tenant globex already"),
)  # fmt: skip

BAD = (*POOLS, *TIERS, *TYPES, *BUDGETS)


def good(kind: str) -> Manifest:
    return copy.deepcopy(GOOD[kind])


def changed(manifest: Manifest, changes: Mapping[str, Any]) -> Manifest:
    made = copy.deepcopy(manifest)
    for path, value in changes.items():
        _change(made, path, value)
    return made


def _change(node: Any, path: str, value: Any) -> None:
    steps = [step for part in path.split(".") for step in part.replace("]", "").split("[")]
    for step in steps[:-1]:
        node = node[int(step)] if isinstance(node, list) else node.setdefault(step, {})
    last = steps[-1]
    if isinstance(node, list):
        node[int(last) : int(last) + 1] = [copy.deepcopy(value)]
    elif value is GONE:
        node.pop(last, None)
    else:
        node[last] = copy.deepcopy(value)
