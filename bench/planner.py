"""The planner beside KEDA's and HPA's rules on one trace of arrivals, in simulated time.

    python -m bench.planner --trace FILE.csv

A trace has a row per task: arrival time, prompt tokens, output tokens; the first row may be a header. All
rules get the same fleet (4 tasks at once per worker, 6 s from wish to ready, service 0.6 s + prompt/5000 +
output/50 s, target wait 2 s, no worker at the start) and the same seed. KEDA runs with target = concurrency,
and with half of that. The planner then runs with the share that KEDA's rule reached as its promise, rounded
up to a tenth of a percent so that keeping the promise means to reach KEDA's share; all else as shipped, but
maxReplicas, which is 100 for all of them (KEDA's default). A worker's time counts from the wish until it is
gone, its draining included. The last line is JSON.
"""

import argparse
import csv
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from bench.planner_pool import PlannedPool
from bench.planner_rivals import Keda

from agentfleet_core.api.v1alpha1 import AgentPoolSpec
from agentfleet_core.fleet.config import CompiledPool
from agentfleet_core.testing.simulated_fleet import SimulatedFleet, SimulatedTask

CONCURRENCY = 4
START_SECONDS = 6.0
TARGET_SECONDS = 2
MAX_REPLICAS = 100
LOWEST_PROMISE, HIGHEST_PROMISE = 50.0, 99.99


class Controller(Protocol):
    def next_decision(self) -> float: ...

    def decide(self, fleet: SimulatedFleet) -> object: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    tasks: int
    within_target: float
    p99_wait_s: float
    worker_hours: float
    interrupted: int

    def line(self, name: str) -> str:
        return (
            f"{name:<44} {self.within_target:8.2%} {self.p99_wait_s:10.2f} s"
            f" {self.worker_hours:10.2f} {self.interrupted:12}"
        )


def read_trace(path: Path) -> list[SimulatedTask]:
    """Tasks by arrival, the first at 0."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if _seconds(rows[0][0]) is None:
        rows = rows[1:]
    arrivals = [(_must(_seconds(row[0]), row), int(float(row[1])), int(float(row[2]))) for row in rows]
    first = min(at for at, _, _ in arrivals)
    return sorted(
        SimulatedTask(at - first, 0.6 + prompt / 5_000 + output / 50) for at, prompt, output in arrivals
    )


def run(tasks: Sequence[SimulatedTask], controller: Controller, *, seed: int = 1) -> Outcome:
    """Until the last task has ended."""
    fleet = SimulatedFleet(concurrency=CONCURRENCY, start_seconds=START_SECONDS, seed=seed)
    fleet.submit(tasks)
    while fleet.totals.ended < len(tasks):
        fleet.advance(controller.next_decision())
        controller.decide(fleet)
    waits = sorted(fleet.totals.waits)
    return Outcome(
        tasks=len(tasks),
        within_target=sum(wait <= TARGET_SECONDS for wait in waits) / len(waits),
        p99_wait_s=waits[math.ceil(0.99 * len(waits)) - 1],
        worker_hours=fleet.totals.worker_seconds / 3_600,
        interrupted=fleet.totals.interrupted,
    )


def planner_for(promise_percent: float) -> PlannedPool:
    scaling = {
        "maxReplicas": MAX_REPLICAS,
        "targetWaitSeconds": TARGET_SECONDS,
        "targetPercent": promise_percent,
    }
    spec = AgentPoolSpec.model_validate({"concurrency": CONCURRENCY, "scaling": scaling})
    return PlannedPool(CompiledPool(spec=spec, revision="r1"))


def promise_of(share: float) -> float:
    """In percent, rounded up to a tenth, within what a pool may promise."""
    return min(HIGHEST_PROMISE, max(LOWEST_PROMISE, math.ceil(round(share * 1_000, 6)) / 10))


def main(path: Path) -> None:
    tasks = read_trace(path)
    last = tasks[-1].at_seconds
    load = sum(task.service_seconds for task in tasks) / max(1.0, last)
    print(f"{path.name}: {len(tasks):,} tasks in {last / 60:.0f} min, {load:.1f} run on average")
    print(f"{'rule':<44} {'in time':>8} {'p99 wait':>12} {'worker-hours':>10} {'interrupted':>11}")
    keda = run(tasks, Keda(CONCURRENCY, MAX_REPLICAS))
    print(keda.line("KEDA and HPA, target = concurrency"))
    half = run(tasks, Keda(CONCURRENCY / 2, MAX_REPLICAS))
    print(half.line("KEDA and HPA, target = half of it"))
    promise = promise_of(keda.within_target)
    began = time.perf_counter()
    ours = run(tasks, planner_for(promise))
    spent = time.perf_counter() - began
    print(ours.line(f"planner, targetPercent {promise:g}"))
    more = ours.worker_hours / keda.worker_hours - 1
    print(f"worker-hours against KEDA: {more:+.1%}; planning an hour of it took {spent * 3_600 / last:.1f} s")
    print(json.dumps(_figures(keda, ours, promise)))


def _figures(keda: Outcome, ours: Outcome, promise: float) -> dict[str, float]:
    return {
        "within_target": round(ours.within_target, 5),
        "p99_wait_s": round(ours.p99_wait_s, 3),
        "worker_hours": round(ours.worker_hours, 3),
        "keda_within_target": round(keda.within_target, 5),
        "keda_p99_wait_s": round(keda.p99_wait_s, 3),
        "keda_worker_hours": round(keda.worker_hours, 3),
        "target_percent": promise,
        "interrupted": ours.interrupted,
    }


def _seconds(text: str) -> float | None:
    """A number of seconds, or a time of day and date in ISO 8601 (any number of fraction digits)."""
    try:
        return float(text)
    except ValueError:
        pass
    whole, _, rest = text.strip().partition(".")
    zone = rest.lstrip("0123456789")
    fraction = rest[: len(rest) - len(zone)]
    try:
        moment = datetime.fromisoformat(whole + zone)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() + float(f"0.{fraction or 0}")


def _must(value: float | None, row: Sequence[str]) -> float:
    if value is None:
        raise SystemExit(f"not an arrival time: {row[0]!r}")
    return value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--trace", type=Path, required=True, help="CSV: arrival, prompt tokens, output tokens"
    )
    main(parser.parse_args().trace)
