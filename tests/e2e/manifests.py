"""The objects that the stories apply; only what a story varies is an argument."""

from typing import Any

from tests.e2e.installation import api_key_of

API = "agentfleet.dev/v1alpha1"
BAND = {
    "input": "1.00",
    "output": "5.00",
    "cacheRead": "0.10",
    "cacheWrite5m": "1.25",
    "cacheWrite1h": "2.00",
}


def pool(name: str, *, worker: dict[str, Any] | None = None, scaling: dict[str, Any] | None = None,
         **spec: Any) -> dict[str, Any]:  # fmt: skip
    quick = {"maxReplicas": 3, "idleSecondsToZero": 2, "stabilizationSeconds": 1, "targetWaitSeconds": 2}
    small = {"resources": {"requests": {"cpu": "20m", "memory": "96Mi"}}}
    body = {"concurrency": 1, "scaling": quick | (scaling or {}), "worker": small | (worker or {})} | spec
    return {"apiVersion": API, "kind": "AgentPool", "metadata": {"name": name}, "spec": body}


def tier() -> dict[str, Any]:
    model = {"name": "claude-haiku-5-5", "prices": [{"effectiveFrom": "2026-01-01", "bands": [BAND]}]}
    provider = {"baseUrl": "http://simulator", "apiKeySecretRef": {"name": "anthropic"}}
    return {"apiVersion": API, "kind": "ModelTier", "metadata": {"name": "fast"},
            "spec": {"rank": 1, "provider": provider, "models": [model]}}  # fmt: skip


def budget(tenant: str, amount: str) -> dict[str, Any]:
    spec = {
        "tenant": tenant,
        "limits": [{"name": "total", "period": "Total", "amount": amount}],
        "apiKeySecretRef": {"name": f"{tenant}-key"},
    }
    return {"apiVersion": API, "kind": "TenantBudget", "metadata": {"name": tenant}, "spec": spec}


def tenant_key(tenant: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{tenant}-key"},
            "stringData": {"api-key": api_key_of(tenant)}}  # fmt: skip


def scripted(name: str, pool: str, **spec: Any) -> dict[str, Any]:
    """A type whose input says, as the simulator's script, what the model answers and how long it takes."""
    agent = {"prompt": "{{ input.script }}", "maxTurns": 1, "maxOutputTokens": 100}
    body = {"pool": pool, "tier": {"default": "fast"}, "agent": agent, "retry": {"maxAttempts": 10}} | spec
    return {"apiVersion": API, "kind": "TaskType", "metadata": {"name": name}, "spec": body}


def script(seconds: float, mark: str = "") -> dict[str, str]:
    return {"script": f'sim:{{"text": "done", "seconds": {seconds}, "mark": "{mark}"}}'}
