"""The planner beside KEDA's rule on made-up bursts, each from a seed: where it holds up and where not.

    python -m bench.planner_bursts

Same fleet and same way as `bench.planner`: the planner promises the share that KEDA reached on that trace.
"""

import random
from collections.abc import Callable, Iterator

from bench.planner import CONCURRENCY, MAX_REPLICAS, planner_for, promise_of, run
from bench.planner_rivals import Keda

from agentfleet_core.testing.simulated_fleet import SimulatedTask

HOUR = 3_600.0
Trace = Callable[[random.Random], Iterator[SimulatedTask]]


def short(rng: random.Random) -> float:
    """Seconds of a task with a long prompt and a short answer."""
    return 0.6 + min(8_000, rng.lognormvariate(7.2, 0.9)) / 5_000 + rng.lognormvariate(2.9, 0.8) / 50


def long(rng: random.Random) -> float:
    """Seconds of a conversation's turn."""
    return (
        0.6 + min(8_000, rng.lognormvariate(6.5, 1.0)) / 5_000 + min(1_000, rng.lognormvariate(5.0, 0.7)) / 50
    )


def periodic(every: float, lasts: float, rate: float) -> Trace:
    """`rate` tasks a second for `lasts` seconds out of `every`."""

    def trace(rng: random.Random) -> Iterator[SimulatedTask]:
        at = 0.0
        while (at := at + rng.expovariate(rate)) < HOUR:
            if at % every < lasts:
                yield SimulatedTask(at, short(rng))

    return trace


def on_and_off(busy: float, quiet: float, rate: float, service: Callable[[random.Random], float]) -> Trace:
    """Bursts and silences of random length (means given), each burst with a rate of its own."""

    def trace(rng: random.Random) -> Iterator[SimulatedTask]:
        at = 0.0
        while at < HOUR:
            at += rng.expovariate(1 / quiet)
            end, own = at + rng.expovariate(1 / busy), rate * rng.lognormvariate(0, 0.6)
            while at < min(end, HOUR):
                at += rng.expovariate(own)
                yield SimulatedTask(at, service(rng))

    return trace


def batches(gap: float, service: Callable[[random.Random], float], tail: float) -> Trace:
    """Batches at random moments, whose sizes have a heavy tail."""

    def trace(rng: random.Random) -> Iterator[SimulatedTask]:
        at = 0.0
        while (at := at + rng.expovariate(1 / gap)) < HOUR:
            for _ in range(min(300, int(5 * rng.paretovariate(tail)))):
                yield SimulatedTask(at + rng.random(), service(rng))

    return trace


def restless(rng: random.Random) -> Iterator[SimulatedTask]:
    """A rate that jumps every few seconds over two orders of magnitude."""
    at = 0.0
    while at < HOUR:
        end, rate = at + rng.expovariate(1 / 6), max(0.02, rng.lognormvariate(-0.3, 1.5))
        while (at := at + rng.expovariate(rate)) < end:
            yield SimulatedTask(at, short(rng))
        at = end


def busy_spells(rng: random.Random) -> Iterator[SimulatedTask]:
    """Five to twelve minutes with a batch each half minute, then as long a silence."""
    at = 0.0
    while at < HOUR:
        end = at + rng.uniform(300, 700)
        while (at := at + rng.expovariate(1 / 30)) < end:
            for _ in range(int(rng.lognormvariate(3.5, 0.5))):
                yield SimulatedTask(at + rng.random() * 3, long(rng))
        at += rng.uniform(200, 900)


def most_minutes(rng: random.Random) -> Iterator[SimulatedTask]:
    """A burst in three minutes of four, and a trickle."""
    for minute in range(60):
        start, width = minute * 60 + rng.uniform(0, 20), rng.uniform(3, 15)
        for _ in range(int(rng.lognormvariate(4.6, 0.6)) if rng.random() < 0.75 else 0):
            yield SimulatedTask(start + rng.random() * width, short(rng))
        for _ in range(int(rng.expovariate(0.1))):
            yield SimulatedTask(minute * 60 + rng.random() * 60, short(rng))


TRACES: dict[str, Trace] = {
    "10 s of each minute": periodic(60, 10, 20),
    "20 s of each 4 minutes": periodic(240, 20, 15),
    "on 8 s, off 45 s": on_and_off(8, 45, 25, short),
    "on 20 s, off 2 min, long tasks": on_and_off(20, 120, 10, long),
    "on 15 s, off 8 min": on_and_off(15, 500, 10, short),
    "restless rate": restless,
    "most minutes": most_minutes,
    "busy spells, long tasks": busy_spells,
    "heavy-tailed batches": batches(12, short, 1.3),
    "heavy-tailed batches, long tasks": batches(25, long, 1.6),
}


def main() -> None:
    print(f"{'trace':<34} {'tasks':>6} {'KEDA':>7} {'hours':>6} {'planner':>8} {'hours':>6}  promise, hours")
    for number, (name, trace) in enumerate(TRACES.items()):
        tasks = sorted(trace(random.Random(number)))
        keda = run(tasks, Keda(CONCURRENCY, MAX_REPLICAS))
        ours = run(tasks, planner_for(promise_of(keda.within_target)))
        kept = "kept" if ours.within_target >= keda.within_target else "broken"
        more = ours.worker_hours / keda.worker_hours - 1
        print(
            f"{name:<34} {len(tasks):6} {keda.within_target:7.1%} {keda.worker_hours:6.2f}"
            f" {ours.within_target:8.1%} {ours.worker_hours:6.2f}  {kept}, {more:+.0%}"
        )


if __name__ == "__main__":
    main()
