"""The planner beside KEDA's rule on made-up bursts, each from a seed: where it holds up and where not.

    python -m bench.planner_bursts [--held-back] [--traces 36]

Same fleet and same way as `bench.planner`: the planner promises the share that KEDA reached on that trace, or
50 % where KEDA reached less, since no pool may promise less. `planner_traces` says what the traces are. The
last line is JSON.
"""

import argparse
import json
import math

from bench.planner import CONCURRENCY, MAX_REPLICAS, planner_for, promise_of, run
from bench.planner_rivals import Keda
from bench.planner_traces import HELD_BACK, made_up


def main(first: int, traces: int) -> None:
    print(f"{'trace':<38} {'tasks':>6} {'KEDA':>7} {'hours':>6} {'planner':>8} {'hours':>6}  promise, hours")
    kept, ratios = [], []
    for seed in range(first, first + traces):
        name, tasks = made_up(seed)
        keda = run(tasks, Keda(CONCURRENCY, MAX_REPLICAS))
        ours = run(tasks, planner_for(promise_of(keda.within_target)))
        kept.append(ours.within_target >= keda.within_target)
        ratios.append(ours.worker_hours / keda.worker_hours)
        print(
            f"{seed:>4} {name:<33} {len(tasks):6} {keda.within_target:7.1%} {keda.worker_hours:6.2f}"
            f" {ours.within_target:8.1%} {ours.worker_hours:6.2f}"
            f"  {'kept' if kept[-1] else 'broken'}, {ratios[-1] - 1:+.0%}",
            flush=True,
        )
    figures = {
        "traces": traces,
        "kept": sum(kept),
        "kept_with_no_more_hours": sum(k and ratio <= 1 for k, ratio in zip(kept, ratios, strict=True)),
        "hours_against_keda": round(math.prod(ratios) ** (1 / traces), 3),
        "worst_hours": round(max(ratios), 3),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--held-back", action="store_true", help="the traces that nothing was tuned on")
    parser.add_argument("--traces", type=int, default=36)
    asked = parser.parse_args()
    main(HELD_BACK if asked.held_back else 0, asked.traces)
