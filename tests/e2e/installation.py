"""One installation of the chart in a namespace of its own, with a simulator beside it."""

import json
import re
import subprocess
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from tests.e2e.cluster import ROOT, TAG, CommandFailed, apply, helm, kubectl, objects, run, until

from agentfleet import Client

CHART = str(ROOT / "charts" / "agentfleet")
ONE_OF_EACH: dict[str, Any] = {
    "operator": {"replicas": 1, "lease": {"seconds": 5, "renewDeadlineSeconds": 3, "retrySeconds": 1}},
    "coordinator": {"replicas": 1},
}
"""Values of a story that needs no second replica."""
HARDENED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
FORWARDING = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+)")


class Forward:
    """`kubectl port-forward` on a free port, as long as it is open."""

    def __init__(self, namespace: str, target: str, port: int) -> None:
        self._process = subprocess.Popen(
            ["kubectl", "-n", namespace, "port-forward", target, f":{port}"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdout is not None
        found = FORWARDING.search(self._process.stdout.readline())
        if found is None:
            self.close()
            raise AssertionError(f"no port-forward to {target}")
        self.url = f"http://127.0.0.1:{int(found[1])}"

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Installation:
    """`with Installation() as fleet`: installed, ready, and removed with its namespace at the end."""

    def __init__(
        self,
        *,
        values: dict[str, Any] | None = None,
        before: Sequence[dict[str, Any]] = (),
        wait: bool = True,
    ) -> None:
        """`before`: manifests that must be there when the chart is installed. `wait`: until it serves."""
        self.namespace = f"fleet-{uuid.uuid4().hex[:8]}"
        self.release = "af"
        self._values = values or {}
        self._before = before
        self._wait = wait
        self._forward: Forward | None = None

    def __enter__(self) -> Self:
        kubectl("create", "namespace", self.namespace)
        level = "pod-security.kubernetes.io/enforce=restricted"
        kubectl("label", "namespace", self.namespace, level)
        try:
            if self._before:
                self.apply(*self._before)
            self.install()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()
        # Pools go while their operator and their Redis are there, so that workers drain instead of waiting.
        with suppress(CommandFailed):
            self.kubectl("delete", "agentpools", "--all", "--timeout=60s")
            workers = "app.kubernetes.io/name=agentfleet-worker"
            self.kubectl("wait", "pods", "-l", workers, "--for=delete", "--timeout=60s")
        with suppress(CommandFailed):
            self.uninstall()
        kubectl("delete", "namespace", self.namespace, "--wait", "--timeout=240s", seconds=260)

    def install(self, **values: Any) -> None:
        """Installs, or upgrades."""
        chosen = {
            "image": {"tag": TAG},
            "redis": {"image": f"agentfleet-redis:{TAG}", "persistence": {"enabled": False}},
            "operator": {"lease": {"seconds": 5, "renewDeadlineSeconds": 3, "retrySeconds": 1}},
        }
        run(
            ["helm", "upgrade", "--install", self.release, CHART, "-n", self.namespace, "--values", "-",
             *(["--wait", "--timeout", "90s"] if self._wait else [])],
            given=json.dumps(chosen | self._values | values),
        )  # fmt: skip

    def uninstall(self) -> None:
        """Gone already is well."""
        self.disconnect()
        helm("uninstall", self.release, "-n", self.namespace, "--ignore-not-found", "--wait")

    # What a user does.

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        return kubectl("-n", self.namespace, *arguments, given=given)

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        return objects("-n", self.namespace, *arguments)

    def apply(self, *manifests: dict[str, Any]) -> None:
        apply(*manifests, namespace=self.namespace)

    def secret(self, name: str, value: str) -> None:
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name},
                "stringData": {"api-key": value},
            }
        )

    def url(self) -> str:
        if self._forward is None:
            self._forward = Forward(self.namespace, f"service/{self.release}-coordinator", 80)
        return self._forward.url

    def disconnect(self) -> None:
        if self._forward is not None:
            self._forward.close()
            self._forward = None

    def client(self, tenant: str) -> Client:
        """Usable once the tenant's key is known to the fleet."""
        client = Client(self.url(), api_key_of(tenant))

        def is_known() -> bool:
            try:
                client.list(limit=1)
            except Exception as error:
                if type(error).__name__ == "Unauthorized":
                    return False
                raise
            return True

        until(f"the key of {tenant} is known", is_known, seconds=20)
        return client

    # What is seen.

    def pool(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.objects("agentpool", name)[0].get("status") or {}
        return status

    def condition(self, pool: str, kind: str) -> dict[str, Any]:
        return next((one for one in self.pool(pool).get("conditions", ()) if one["type"] == kind), {})

    def workers(self, pool: str, *, ready: bool = True) -> list[str]:
        """Names of the pool's pods that are not on their way out."""
        pods = self.objects("pods", "-l", f"agentfleet.dev/pool={pool}")
        return [
            pod["metadata"]["name"]
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"] and (not ready or _is_ready(pod))
        ]

    def simulate(self) -> None:
        """A simulator as a pod; its Service is `simulator`."""
        labels = {"app": "simulator"}
        container = {
            "name": "simulator",
            "image": f"agentfleet-cli:{TAG}",
            "command": [
                "python3",
                "-P",
                "-m",
                "agentfleet_cli.simulator",
                "--host",
                "0.0.0.0",
                "--port",
                "8089",
            ],
            "readinessProbe": {"tcpSocket": {"port": 8089}, "periodSeconds": 1},
            "securityContext": HARDENED,
        }
        pod = {
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        }  # fmt: skip
        self.apply(
            {
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "simulator"},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                },
            },
            {
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "simulator"},
                "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8089}]},
            },
        )  # fmt: skip
        self.kubectl("rollout", "status", "deployment/simulator", "--timeout=60s")


def api_key_of(tenant: str) -> str:
    return f"af-{tenant}-0123456789abcdef"


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
