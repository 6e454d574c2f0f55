"""The fleet of the cluster that the user's kubeconfig names, by a port-forward through its API server.

By kubectl, which brings whatever way of logging in the cluster wants. Keys are read from the Secrets that the
user may read; nothing is stored.
"""

import atexit
import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from agentfleet.running import RunningFleet
from agentfleet_core.errors import InvalidRequest, Unavailable
from agentfleet_core.fleet.compile import ADMIN_KEY

COORDINATORS = "app.kubernetes.io/name=agentfleet-coordinator"
FORWARDING = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+)")
SECONDS = "8s"


@cache
def cluster_fleet() -> RunningFleet | None:
    """None where no cluster is configured or it runs no coordinator. Raises `InvalidRequest` when it runs
    several and none is in the current namespace, `Unavailable` when one is there and cannot be reached.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None or not _is_configured():
        return None
    found = _coordinators(kubectl)
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(sorted(one["metadata"]["namespace"] for one in found))
        raise InvalidRequest(
            f"there are coordinators in {names}; choose one: "
            "kubectl config set-context --current --namespace=NAME"
        )
    [service] = found
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    keys = _keys(kubectl, namespace)
    return RunningFleet(
        url=_forward(kubectl, namespace, name, service["spec"]["ports"][0]["port"]),
        admin_key=keys.pop("", ""),
        tenant_keys=keys,
        pid=os.getpid(),
    )


def _is_configured() -> bool:
    return bool(os.environ.get("KUBECONFIG")) or (Path.home() / ".kube" / "config").is_file()


def _coordinators(kubectl: str) -> list[Mapping[str, Any]]:
    """Those of the current namespace, else of all that the user may see."""
    here = _items(kubectl, "services", "-l", COORDINATORS)
    return here or _items(kubectl, "services", "-A", "-l", COORDINATORS)


def _keys(kubectl: str, namespace: str) -> dict[str, str]:
    """Tenant to key, and the admin key under the empty name; those whose Secrets the user may read."""
    refs = {"": (ADMIN_KEY.name, ADMIN_KEY.key)}
    for budget in _items(kubectl, "tenantbudgets", "-n", namespace):
        ref = budget["spec"].get("apiKeySecretRef")
        if ref:
            refs[budget["spec"]["tenant"]] = (ref["name"], ref.get("key", ADMIN_KEY.key))
    names = sorted({name for name, _ in refs.values()})
    found = _items(kubectl, "secrets", *names, "-n", namespace, "--ignore-not-found")
    data = {secret["metadata"]["name"]: secret.get("data") or {} for secret in found}
    keys = {}
    for owner, (name, key) in refs.items():
        words = base64.b64decode(data.get(name, {}).get(key, "")).split()
        if words:
            keys[owner] = words[0].decode(errors="replace")
    return keys


def _items(kubectl: str, *what: str) -> list[Mapping[str, Any]]:
    done = subprocess.run(
        [kubectl, "get", *what, "-o", "json", f"--request-timeout={SECONDS}"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        return []
    items: list[Mapping[str, Any]] = json.loads(done.stdout)["items"]
    return items


def _forward(kubectl: str, namespace: str, service: str, port: int) -> str:
    """The address at this end; open until this process ends."""
    process = subprocess.Popen(
        [kubectl, "-n", namespace, "port-forward", f"service/{service}", f":{port}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    atexit.register(_end, process)
    said = process.stdout.readline() if process.stdout is not None else b""
    match = FORWARDING.search(said)
    if match is None:
        raise Unavailable(f"no port-forward to service/{service} in {namespace}: {said.decode().strip()}")
    return f"http://127.0.0.1:{int(match[1])}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
