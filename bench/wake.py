"""From the first task of an empty pool to that task running in a new pod: `python -m bench.wake`.

Needs what `make e2e` needs, and its images (E2E_IMAGES=keep). Each wake is of a pool at zero; phases are as
the API server's watch shows them to this machine, the start as Redis' clock has it.
"""

import argparse
import json
import subprocess
import threading
import time
from typing import Any

from tests.e2e.cluster import until
from tests.e2e.installation import Installation
from tests.e2e.manifests import budget, pool, script, scripted, tenant_key, tier

PHASES = ("decided", "scheduled", "container", "claimed")


class PodWatch:
    """When each pod of a pool was first seen, scheduled, and running."""

    def __init__(self, namespace: str, name: str) -> None:
        selector = f"agentfleet.dev/pool={name}"
        self._process = subprocess.Popen(
            ["kubectl", "-n", namespace, "get", "pods", "-l", selector, "--watch", "-o", "json"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.seen: dict[str, dict[str, float]] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        decoder, text = json.JSONDecoder(), ""
        for line in self._process.stdout or ():
            text += line
            if line != "}\n":
                continue
            self._note(decoder.decode(text), time.time())
            text = ""

    def _note(self, pod: dict[str, Any], now: float) -> None:
        marks = self.seen.setdefault(pod["metadata"]["name"], {})
        marks.setdefault("decided", now)
        if pod["spec"].get("nodeName"):
            marks.setdefault("scheduled", now)
        if any("running" in one["state"] for one in pod["status"].get("containerStatuses", ())):
            marks.setdefault("container", now)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def wakes(fleet: Installation, number: int) -> list[dict[str, float]]:
    fleet.apply(pool("waking", scaling={"idleSecondsToZero": 0, "stabilizationSeconds": 0}))
    fleet.apply(scripted("waking", "waking"), tenant_key("waker"), budget("waker", "10.00"))
    found, watch = [], PodWatch(fleet.namespace, "waking")
    with fleet.client("waker") as client:
        for _ in range(number):
            until("at zero", lambda: not fleet.workers("waking", ready=False))
            before = set(watch.seen)
            task = client.submit("waking", script(0.1))
            task.result(timeout=60)
            ended = task.refresh()
            submitted = ended.submitted_at.timestamp()
            [name] = set(watch.seen) - before
            marks = watch.seen[name] | {"claimed": ended.started_at.timestamp() if ended.started_at else 0.0}
            found.append({phase: marks[phase] - submitted for phase in PHASES})
    watch.close()
    return found


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
