"""PURE. The recent past, replayed at each number of workers: what would have kept the promise, and what for.

Bursts that come out of nothing cannot be met by a worker that takes longer to start than a task may wait.
What pays is to keep what the bursts of the last minutes needed. How much that is, a replay says: the
arrivals that were seen go through one simulated queue per candidate number, each with that many workers
always there, and each queue counts who would have started late. The counts fade with `MEMORY_SECONDS`, so
the answer is a weighted quantile of the recent past; and nothing is held beyond what some moment of the last
`HOLD_SECONDS` needed, so that it is let go when bursts stop coming.

The simulated queues serve every task in the mean service time, in steps of `grain` seconds. That is a model,
and the promise is about the real queue: `aim` is what the replay is asked for, moved by what really started
late
(`ServiceRecord`), up when promises are broken and down when they are kept with room to spare.
"""

import math
from dataclasses import dataclass, replace

MEMORY_SECONDS = 900.0
HOLD_SECONDS = 300.0
STEPS_PER_SERVICE = 8
STEPS_PER_TARGET = 32
LONGEST_SERVICE_STEPS = 32


@dataclass(frozen=True, slots=True)
class Replay:
    """One simulated queue per number in `workers`; the tuples beside it have one entry for each."""

    workers: tuple[int, ...]
    concurrency: int
    target_seconds: float
    grain: int
    """Seconds in a step."""
    waiting: tuple[float, ...]
    started: tuple[tuple[float, ...], ...]
    """Sums of all starts at the end of the last steps, oldest first."""
    late: tuple[float, ...]
    arrivals: float = 0.0
    needed: tuple[tuple[float, int], ...] = ()
    """(time, index of the fewest that kept a step's tasks in time): the falling maxima of the hold window."""


def fresh_replay(
    *, most_workers: int, concurrency: int, target_seconds: float, service_seconds: float
) -> Replay:
    workers = _candidates(most_workers)
    zeros = (0.0,) * len(workers)
    grain = max(1, round(max(service_seconds / STEPS_PER_SERVICE, target_seconds / STEPS_PER_TARGET)))
    return Replay(workers, concurrency, target_seconds, grain, zeros, (zeros,), zeros)


def step(replay: Replay, arrivals: int, service_seconds: float, end_seconds: float) -> Replay:
    """One grain of time, in which so many tasks arrived."""
    service, target = service_seconds / replay.grain, replay.target_seconds / replay.grain
    sums, back = replay.started[-1], _ago(replay.started, service)
    soon = _ago(replay.started, max(0.0, service - target))
    waiting, started, late, need = [], [], [], 0
    for index, workers in enumerate(replay.workers):
        slots = workers * replay.concurrency
        free = slots / service if service < 1 else max(0.0, slots - sums[index] + back[index])
        queue = replay.waiting[index] + arrivals
        starting = min(queue, free)
        queue -= starting
        # What ends within the target: as many as with ends spread evenly, or those that began early enough.
        # Real service times lie between the two, so half of each.
        even = slots * target / service
        ending = even if target >= service else (even + soon[index] - back[index]) / 2
        missed = min(float(arrivals), max(0.0, queue - ending))
        need = index + 1 if missed > 0 else need
        # No longer than is served in the target and one service time: by then more would have been called.
        waiting.append(min(queue, even + slots))
        started.append(sums[index] + starting)
        late.append(missed)
    keep = math.exp(-replay.grain / MEMORY_SECONDS)
    return replace(
        replay,
        waiting=tuple(waiting),
        started=(*replay.started[-LONGEST_SERVICE_STEPS:], tuple(started)),
        late=tuple(old * keep + new for old, new in zip(replay.late, late, strict=True)),
        arrivals=replay.arrivals * keep + arrivals,
        needed=_hold(replay.needed, end_seconds, min(need, len(replay.workers) - 1) if arrivals else 0),
    )


def skip(replay: Replay, steps: int, end_seconds: float) -> Replay:
    """So many steps without an arrival, at once; every simulated queue is empty afterwards."""
    keep = math.exp(-replay.grain * steps / MEMORY_SECONDS)
    return replace(
        replay,
        waiting=(0.0,) * len(replay.workers),
        started=(replay.started[-1],),
        late=tuple(old * keep for old in replay.late),
        arrivals=replay.arrivals * keep,
        needed=_hold(replay.needed, end_seconds, 0),
    )


def workers_held(replay: Replay, share: float, now_seconds: float) -> int:
    """The fewest that would have started `share` of the remembered tasks in time.

    None of them is more than some moment of the last `HOLD_SECONDS` needed.
    """
    allowed = (1 - share) * replay.arrivals + 1e-6
    fewest = next((i for i, late in enumerate(replay.late) if late <= allowed), len(replay.workers) - 1)
    since = now_seconds - HOLD_SECONDS
    peak = max((index for at, index in replay.needed if at > since), default=0)
    return replay.workers[min(fewest, peak)]


def _candidates(most: int) -> tuple[int, ...]:
    """0, 1, 2, … and above 24 in steps of an eighth, up to `most`."""
    numbers = list(range(min(most, 24) + 1))
    while numbers[-1] < most:
        numbers.append(min(most, numbers[-1] + max(1, numbers[-1] // 8)))
    return tuple(numbers)


def _ago(rows: tuple[tuple[float, ...], ...], steps: float) -> tuple[float, ...]:
    """The sums of starts so many steps ago, weighted between two rows; the oldest row when there is none."""
    whole = int(steps)
    newer = rows[-1 - whole] if whole < len(rows) else rows[0]
    older = rows[-2 - whole] if whole + 1 < len(rows) else rows[0]
    part = steps - whole
    return tuple(new + (old - new) * part for new, old in zip(newer, older, strict=True))


def _hold(needed: tuple[tuple[float, int], ...], now: float, index: int) -> tuple[tuple[float, int], ...]:
    kept = [entry for entry in needed if entry[0] > now - HOLD_SECONDS and entry[1] > index]
    return (*kept, (now, index)) if index else tuple(kept)
