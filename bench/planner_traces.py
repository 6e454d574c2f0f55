"""Made-up traces of bursts, an hour each, all from a seed: their kinds are named, their figures are drawn.

Bursts of 1 s to 2 min, each half minute to each half hour, in time or at random (Poisson), of one size or of
sizes with a heavy tail, on silence or on a base load, in spells, in ramps as of a day, and rates that jump
(a Markov-modulated Poisson process). Tasks are short, long or both. Seeds below `HELD_BACK` are for tuning;
those from it on are only looked at to judge what was tuned.
"""

import math
import random
from collections.abc import Callable, Iterator

from agentfleet_core.testing.simulated_fleet import SimulatedTask

HOUR = 3_600.0
HELD_BACK = 1_000
FEWEST_TASKS, MOST_TASKS = 800, 20_000
"""Figures that give fewer or more are drawn anew."""
Arrivals = Callable[[random.Random], Iterator[float]]
"""Moments in seconds, in no order; those from `HOUR` on are left out."""


def short(rng: random.Random) -> float:
    """Seconds of a task with a long prompt and a short answer."""
    return 0.6 + min(8_000, rng.lognormvariate(7.2, 0.9)) / 5_000 + rng.lognormvariate(2.9, 0.8) / 50


def long(rng: random.Random) -> float:
    """Seconds of a conversation's turn."""
    answer = min(1_000, rng.lognormvariate(5.0, 0.7))
    return 0.6 + min(8_000, rng.lognormvariate(6.5, 1.0)) / 5_000 + answer / 50


def either(rng: random.Random) -> float:
    return long(rng) if rng.random() < 0.3 else short(rng)


def poisson(rng: random.Random, start: float, end: float, rate: float) -> Iterator[float]:
    at = start + rng.expovariate(rate)
    while at < end:
        yield at
        at += rng.expovariate(rate)


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def regular(rng: random.Random) -> Iterator[float]:
    """The same burst again and again."""
    every = log_uniform(rng, 30, 1_800)
    lasts, rate = log_uniform(rng, 2, min(120, every / 2)), log_uniform(rng, 4, 40)
    for number in range(math.ceil(HOUR / every)):
        start = number * every + rng.uniform(0, every / 10)
        yield from poisson(rng, start, start + lasts, rate)


def at_random(rng: random.Random) -> Iterator[float]:
    """Bursts out of nothing, of varying length and rate."""
    gap, lasts, rate = log_uniform(rng, 30, 1_200), log_uniform(rng, 3, 60), log_uniform(rng, 4, 30)
    for start in poisson(rng, 0, HOUR, 1 / gap):
        end, own = start + rng.expovariate(1 / lasts), rate * rng.lognormvariate(0, 0.6)
        yield from poisson(rng, start, end, own)


def batches(rng: random.Random) -> Iterator[float]:
    """Many at once, at random moments, in numbers that have a heavy tail."""
    gap, least, tail = log_uniform(rng, 8, 90), rng.uniform(3, 12), rng.uniform(1.2, 2)
    for start in poisson(rng, 0, HOUR, 1 / gap):
        for _ in range(min(400, int(least * rng.paretovariate(tail)))):
            yield start + rng.random()


def on_base_load(rng: random.Random) -> Iterator[float]:
    """Steady work, and bursts of several times as much."""
    base, gap, lasts = log_uniform(rng, 0.3, 3), log_uniform(rng, 60, 600), log_uniform(rng, 5, 60)
    yield from poisson(rng, 0, HOUR, base)
    for start in poisson(rng, 0, HOUR, 1 / gap):
        yield from poisson(rng, start, start + lasts, base * rng.uniform(3, 15))


def on_and_off(rng: random.Random) -> Iterator[float]:
    """Busy and quiet times with heavy tails (self-similar traffic)."""
    busy, quiet, rate = rng.uniform(3, 15), rng.uniform(15, 90), log_uniform(rng, 3, 15)
    at = 0.0
    while at < HOUR:
        at += quiet * rng.paretovariate(1.4)
        end = at + min(300, busy * rng.paretovariate(1.4))
        yield from poisson(rng, at, end, rate)
        at = end


def jumping(rng: random.Random) -> Iterator[float]:
    """A rate that jumps over two orders of magnitude."""
    stays, spread, middle = log_uniform(rng, 5, 120), rng.uniform(0.8, 1.6), rng.uniform(-0.5, 1)
    at = 0.0
    while at < HOUR:
        end = at + rng.expovariate(1 / stays)
        yield from poisson(rng, at, end, min(40, max(0.02, rng.lognormvariate(middle, spread))))
        at = end


def spells(rng: random.Random) -> Iterator[float]:
    """Minutes full of bursts, then as long a silence."""
    gap, size, length = log_uniform(rng, 15, 60), rng.uniform(2.5, 4.2), rng.uniform(200, 900)
    at = rng.uniform(0, 200)
    while at < HOUR:
        end = at + length * rng.uniform(0.6, 1.4)
        for start in poisson(rng, at, end, 1 / gap):
            for _ in range(int(rng.lognormvariate(size, 0.5))):
                yield start + rng.random() * 4
        at = end + length * rng.uniform(0.3, 1.5)


def most_minutes(rng: random.Random) -> Iterator[float]:
    """A burst in most minutes, each somewhere in its minute, and a trickle."""
    size, chance = rng.uniform(3.2, 4.8), rng.uniform(0.5, 0.95)
    yield from poisson(rng, 0, HOUR, 0.1)
    for minute in range(60):
        start, width = minute * 60 + rng.uniform(0, 20), rng.uniform(3, 15)
        if rng.random() < chance:
            for _ in range(int(rng.lognormvariate(size, 0.6))):
                yield start + rng.random() * width


def ramps(rng: random.Random) -> Iterator[float]:
    """A day in short: the rate swells and ebbs, and what comes, comes in clumps."""
    top, cycle, clump = log_uniform(rng, 1, 6), rng.uniform(900, 3_600), rng.uniform(2, 20)
    for at in poisson(rng, 0, HOUR, top / clump):
        if rng.random() < 0.5 - 0.48 * math.cos(2 * math.pi * at / cycle):
            for _ in range(1 + int(rng.expovariate(1 / clump))):
                yield at + rng.random() * 2


KINDS: dict[str, Arrivals] = {
    "regular bursts": regular,
    "bursts at random": at_random,
    "heavy-tailed batches": batches,
    "bursts on a base load": on_base_load,
    "heavy-tailed on and off": on_and_off,
    "a rate that jumps": jumping,
    "spells of bursts": spells,
    "a burst in most minutes": most_minutes,
    "clumps on a ramp": ramps,
}


def made_up(seed: int) -> tuple[str, list[SimulatedTask]]:
    """The kind of trace number `seed`, and its tasks by arrival, the first at 0; the kinds take turns."""
    rng = random.Random(seed)
    name, arrivals = list(KINDS.items())[seed % len(KINDS)]
    moments: list[float] = []
    while not FEWEST_TASKS <= len(moments) <= MOST_TASKS:
        moments = sorted(at for at in arrivals(rng) if at < HOUR)
    service = rng.choice((short, short, long, either))
    return f"{name}, {service.__name__}", [SimulatedTask(at - moments[0], service(rng)) for at in moments]
