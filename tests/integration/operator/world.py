"""What the operator tests stand on: a namespace, a Redis, operator processes, and how to await a state."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import httpx
from redis.asyncio import Redis
from tests.servers.kube import KubeApiserver

from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.queue.envelope import Envelope
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.queue.streams import PoolQueue
from agentfleet_core.settings import FleetId
from agentfleet_operator import paths
from agentfleet_operator.views import POOL_LABEL, REVISION_LABEL

Json = dict[str, Any]
SECONDS = 30.0
FAST_LEASE = {
    "AGENTFLEET_LEASE_SECONDS": "6",
    "AGENTFLEET_RENEW_DEADLINE_SECONDS": "4",
    "AGENTFLEET_RETRY_SECONDS": "0.3",
}
KINDS = {
    "agentpool": "AgentPool",
    "tasktype": "TaskType",
    "tenantbudget": "TenantBudget",
    "modeltier": "ModelTier",
}


@dataclass
class OperatorProcess:
    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    async def logged(self, text: str, seconds: float = SECONDS) -> None:
        """Await a line of its log that holds `text`."""
        with self.log.open() as lines:
            async with asyncio.timeout(seconds):
                await _line_with(text, lines)

    async def ended(self, seconds: float = SECONDS) -> int:
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), seconds)


async def _line_with(text: str, lines: TextIO) -> None:
    """A file tells nobody that it grew; it is read again and again."""
    line = lines.readline()
    while text not in line:
        line = lines.readline()
        if not line:
            await asyncio.sleep(0.05)


@dataclass
class World:
    kube: KubeApiserver
    redis_url: str
    namespace: str
    http: httpx.AsyncClient
    redis: Redis
    folder: Path
    operators: list[OperatorProcess] = field(default_factory=list)

    @property
    def fleet_id(self) -> FleetId:
        return FleetId("agentfleet", self.namespace)

    def queue(self, pool: str) -> PoolQueue:
        return PoolQueue(self.redis, self.fleet_id, pool)

    def start_operator(self, name: str = "first", **environment: str) -> OperatorProcess:
        log = self.folder / f"{name}.log"
        settings = {
            "KUBECONFIG": str(self.kube.kubeconfig),
            "AGENTFLEET_REDIS_URL": self.redis_url,
            "AGENTFLEET_WATCH_NAMESPACES": self.namespace,
            "AGENTFLEET_OPERATOR_NAMESPACE": self.namespace,
            "AGENTFLEET_METRICS_PORT": "0",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "agentfleet_operator"],
                env={**os.environ, **settings, **FAST_LEASE, **environment},
                stdout=output,
                stderr=output,
            )
        self.operators.append(OperatorProcess(name, process, log))
        return self.operators[-1]

    def stop_operators(self) -> None:
        running = [one for one in self.operators if one.process.poll() is None]
        for one in running:
            one.process.send_signal(signal.SIGTERM)
        for one in running:
            try:
                one.process.wait(15)
            except subprocess.TimeoutExpired:
                one.kill()
        self.operators.clear()

    def logs(self) -> str:
        return "\n".join(f"--- {one.name}\n{one.log.read_text()[-3000:]}" for one in self.operators)

    # The API server, as an admin.

    def path(self, kind: str, name: str = "") -> str:
        if kind == "Lease":
            return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{name}".rstrip("/")
        collection = paths.collection(KINDS.get(kind.lower(), kind), self.namespace)
        return f"{collection}/{name}" if name else collection

    async def create(self, manifest: Json) -> Json:
        answer = await self.http.post(self.path(manifest["kind"]), json=manifest)
        made: Json = answer.raise_for_status().json()
        return made

    async def patch(self, kind: str, name: str, body: Json, *, sub: str = "", manager: str = "tests") -> Json:
        answer = await self.http.patch(
            self.path(kind, name) + (f"/{sub}" if sub else ""),
            params={"fieldManager": manager},
            content=json.dumps(body),
            headers={"Content-Type": "application/merge-patch+json"},
        )
        patched: Json = answer.raise_for_status().json()
        return patched

    async def delete(self, kind: str, name: str) -> None:
        (await self.http.delete(self.path(kind, name))).raise_for_status()

    async def get(self, kind: str, name: str) -> Json | None:
        answer = await self.http.get(self.path(kind, name))
        return None if answer.status_code == 404 else answer.raise_for_status().json()

    async def items(self, kind: str) -> list[Json]:
        items: list[Json] = (await self.http.get(self.path(kind))).raise_for_status().json()["items"]
        return items

    async def until(
        self, kind: str, holds: Callable[[list[Json]], Any], seconds: float = SECONDS
    ) -> list[Json]:
        """Await that all objects of a kind in the namespace, watched, are as they should be."""
        objects: list[Json] = []
        try:
            async with asyncio.timeout(seconds):
                async for objects in self._watched(kind):
                    if holds(objects):
                        return objects
        except TimeoutError:
            for one in objects:
                one["metadata"].pop("managedFields", None)
            shown = json.dumps(objects, indent=1)[-6000:]
            plans = await self.redis.hgetall(FleetKeys(self.fleet_id).plans)
            text = f"{kind} did not come to what was awaited:\n{shown}\n{self.logs()}\n{plans}"
            raise AssertionError(text) from None
        raise AssertionError("the watch ended")

    async def until_one(
        self, kind: str, name: str, holds: Callable[[Json], Any], seconds: float = SECONDS
    ) -> Json:
        def found(objects: list[Json]) -> Any:
            return any(one["metadata"]["name"] == name and holds({"status": {}} | one) for one in objects)

        objects = await self.until(kind, found, seconds)
        return next(one for one in objects if one["metadata"]["name"] == name)

    async def until_gone(self, kind: str, name: str, seconds: float = SECONDS) -> None:
        await self.until(kind, lambda all_: all(one["metadata"]["name"] != name for one in all_), seconds)

    async def _watched(self, kind: str) -> AsyncIterator[list[Json]]:
        listed = (await self.http.get(self.path(kind))).raise_for_status().json()
        known = {one["metadata"]["name"]: one for one in listed["items"]}
        yield list(known.values())
        query = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]}
        async with self.http.stream("GET", self.path(kind), params=query, timeout=None) as stream:
            async for line in stream.aiter_lines():
                event = json.loads(line)
                name = event["object"]["metadata"]["name"]
                if event["type"] == "DELETED":
                    known.pop(name, None)
                else:
                    known[name] = event["object"]
                yield list(known.values())

    # Words of the stories.

    async def add_pool(self, name: str, **spec: Any) -> Json:
        return await self.create(pool(name, **spec))

    async def deployment_of(self, name: str, holds: Callable[[Json], Any], seconds: float = SECONDS) -> Json:
        """The one Deployment of a pool, when it is as it should be."""

        def found(objects: list[Json]) -> Any:
            mine = [one for one in objects if one["metadata"]["labels"][POOL_LABEL] == name]
            return len(mine) == 1 and holds(mine[0])

        objects = await self.until("Deployment", found, seconds)
        return next(one for one in objects if one["metadata"]["labels"][POOL_LABEL] == name)

    async def condition(
        self, kind: str, name: str, condition: str, status: str, seconds: float = SECONDS
    ) -> Json:
        """Await that a condition has a status; the condition."""
        await self.until_one(
            kind, name, lambda one: condition_of(one, condition).get("status") == status, seconds
        )
        found = await self.get(kind, name)
        assert found is not None
        return condition_of(found, condition)

    async def submit(self, pool_name: str, count: int = 1) -> None:
        envelopes = [
            Envelope(
                id=new_task_id(pool_name),
                tenant="acme",
                type="refund",
                priority=50,
                revision="",
                tier="fast",
                tier_reason="Default",
                input=b"{}",
            )
            for _ in range(count)
        ]
        assert await self.queue(pool_name).submit(envelopes) == [True] * count

    async def add_pod(self, deployment: Json, name: str) -> None:
        """A pod as the controllers would make it, ready."""
        labels = {key: deployment["metadata"]["labels"][key] for key in (POOL_LABEL, REVISION_LABEL)}
        container = {"name": "worker", "image": "worker"}
        metadata = {"name": name, "labels": labels}
        await self.create(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
        )
        status = {"conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"}
        await self.patch("Pod", name, {"status": status}, sub="status")

    async def report_ready(self, deployment: Json, ready: int) -> None:
        """What the Deployment controller would report."""
        name = deployment["metadata"]["name"]
        generation = deployment["metadata"]["generation"]
        status = {
            "observedGeneration": generation,
            "replicas": ready,
            "updatedReplicas": ready,
            "readyReplicas": ready,
        }
        await self.patch("Deployment", name, {"status": status}, sub="status")


def condition_of(found: Mapping[str, Any], kind: str) -> Json:
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), {})


def pool(name: str, **spec: Any) -> Json:
    return manifest("AgentPool", name, {"lane": "Interactive", **spec})


def manifest(kind: str, name: str, spec: Json) -> Json:
    return {"apiVersion": "agentfleet.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def secret(name: str, **values: str) -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def tier(name: str, secret_name: str, rank: int = 1) -> Json:
    bands = [
        {"input": "0.10", "output": "0.50", "cacheRead": "0.01", "cacheWrite5m": "0.2", "cacheWrite1h": "0.2"}
    ]
    models = [{"name": "small-1", "prices": [{"effectiveFrom": "2026-01-01", "bands": bands}]}]
    reference = {"name": secret_name, "key": "api-key"}
    return manifest(
        "ModelTier",
        name,
        {"rank": rank, "provider": {"type": "Anthropic", "apiKeySecretRef": reference}, "models": models},
    )


def task_type(name: str, pool_name: str, tier_name: str) -> Json:
    return manifest(
        "TaskType", name, {"pool": pool_name, "tier": {"default": tier_name}, "handler": "shop.agents:refund"}
    )


@asynccontextmanager
async def world(kube: KubeApiserver, redis_url: str, namespace: str) -> AsyncIterator[World]:
    """Its operators are stopped when the block ends."""
    context = ssl.create_default_context(cafile=str(kube.ca_file))
    headers = {"Authorization": f"Bearer {kube.token}"}
    redis = connect(redis_url)
    with tempfile.TemporaryDirectory(prefix="agentfleet-operator-") as folder:
        async with httpx.AsyncClient(
            base_url=kube.url, verify=context, headers=headers, timeout=30.0, trust_env=False
        ) as http:
            made = World(kube, redis_url, namespace, http, redis, Path(folder))
            try:
                yield made
            finally:
                await asyncio.to_thread(made.stop_operators)
                await redis.aclose()
