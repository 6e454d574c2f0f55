"""From the first task of an empty pool to that task running in a new pod: `python -m bench.wake`.

Needs what `make e2e` needs, and its images (E2E_IMAGES=keep). Each wake is of a pool at zero. Every figure is
seconds since the task was accepted, by Redis' clock: when the Deployment had been patched, the pod been made
and scheduled (both as the API server's watch shows them here), the worker's process begun (by the node's
kernel), the worker been ready (its log), and the task been started (Redis' clock again). So this machine's
clock must be the node's.
"""

import argparse
import json
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any

from tests.e2e.cluster import until
from tests.e2e.installation import Installation
from tests.e2e.manifests import budget, pool, script, scripted, tenant_key, tier

PHASES = ("patched", "created", "scheduled", "process", "ready", "claimed")
POOL = "agentfleet.dev/pool=waking"
AGE = "cat /proc/1/stat /proc/uptime; date +%s.%N"
TICKS_PER_SECOND = 100
KUBELET_SECONDS = 2
"""How long the task takes: a kubelet may know of a container only a second after it runs."""
Json = dict[str, Any]


class Watch:
    """Passes each version of the pool's objects on, with the time at which it came."""

    def __init__(self, namespace: str, resource: str, note: Callable[[Json, float], None]) -> None:
        self._note = note
        self._process = subprocess.Popen(
            ["kubectl", "-n", namespace, "get", resource, "-l", POOL, "--watch", "-o", "json"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        text = ""
        for line in self._process.stdout or ():
            text += line
            if line == "}\n":
                self._note(json.loads(text), time.time())
                text = ""

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Marks:
    """What the watches saw of the wake that is under way."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}

    def deployment(self, body: Json, now: float) -> None:
        if body["spec"].get("replicas"):
            self.times.setdefault("patched", now)

    def pod(self, body: Json, now: float) -> None:
        if "deletionTimestamp" in body["metadata"]:
            return
        self.times.setdefault("created", now)
        if body["spec"].get("nodeName"):
            self.times.setdefault("scheduled", now)


def wakes(fleet: Installation, number: int) -> list[dict[str, float]]:
    fleet.apply(pool("waking", scaling={"maxReplicas": 1, "idleSecondsToZero": 3}))
    fleet.apply(scripted("waking", "waking"), tenant_key("waker"), budget("waker", "10.00"))
    marks, found = Marks(), []
    with (
        closing(Watch(fleet.namespace, "deployments", marks.deployment)),
        closing(Watch(fleet.namespace, "pods", marks.pod)),
        fleet.client("waker") as client,
    ):
        for _ in range(number):
            until("at zero", lambda: not fleet.objects("pods", "-l", POOL))
            marks.times = {}
            task = client.submit("waking", script(KUBELET_SECONDS))
            task.result(timeout=60)
            ended = task.refresh()
            times = marks.times | started(fleet, fleet.workers("waking", ready=False)[0])
            times["claimed"] = ended.started_at.timestamp() if ended.started_at else 0.0
            found.append({phase: times[phase] - ended.submitted_at.timestamp() for phase in PHASES})
    return found


def started(fleet: Installation, pod: str) -> dict[str, float]:
    """When the pod's process began, and when it said that it was ready."""
    stat, uptime, now = fleet.kubectl("exec", pod, "--", "sh", "-c", AGE).splitlines()
    age = float(uptime.split()[0]) - int(stat.rpartition(") ")[2].split()[19]) / TICKS_PER_SECOND
    said = fleet.kubectl("logs", pod, "--timestamps").splitlines()
    ready = next(line for line in said if '"ready"' in line).split(" ", 1)[0]
    return {"process": float(now) - age, "ready": datetime.fromisoformat(ready).timestamp()}


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wakes", type=int, default=20)
    with Installation() as fleet:
        fleet.simulate()
        fleet.secret("anthropic", "any")
        fleet.apply(tier())
        found = wakes(fleet, parser.parse_args().wakes)
    report: dict[str, float] = {"wakes": len(found)}
    for phase in PHASES:
        times = [one[phase] for one in found]
        report |= {f"{phase}_p50_s": percentile(times, 0.5), f"{phase}_p99_s": percentile(times, 0.99)}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
