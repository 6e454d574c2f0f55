"""PURE. The recent past, replayed at each number of workers to keep: late starts and what they cost.

Bursts that come out of nothing cannot be met by a worker that takes longer to start than a task may wait.
What pays is to keep what the bursts of the last minutes needed. How many that are, a replay says: the
arrivals that were seen go through one simulated pool per candidate. Each keeps so many workers as long as
some moment of the last `HOLD_SECONDS` needed them, calls more for the work at hand as the real pool does, and
waits for them as long as a worker takes to start. It counts its late starts and its worker time; both fade
with `MEMORY_SECONDS`.

Tasks are a fluid here: in a step, each running one ends with the same chance, in proportion to how many of
the real pool's running tasks ended in that step. So the replay sees the real service times and how they vary
without knowing any of them.
"""

import math
from dataclasses import dataclass, replace

MEMORY_SECONDS = 1_800.0
HOLD_SECONDS = 300.0
STEPS_PER_SERVICE = 8
STEPS_PER_TARGET = 32


@dataclass(frozen=True, slots=True)
class Replay:
    """One simulated pool per number in `keeps`; the tuples below it have one entry for each."""

    keeps: tuple[int, ...]
    concurrency: int
    target_seconds: float
    grain: int
    """Seconds in a step."""
    waiting: tuple[float, ...]
    running: tuple[float, ...]
    started: tuple[float, ...]
    """Sums of all starts."""
    late: tuple[float, ...]
    cost: tuple[float, ...]
    """Workers asked for, summed over steps."""
    wanted: tuple[tuple[int, ...], ...]
    """A row for each of the last steps within the stabilization window, oldest first."""
    asked: tuple[tuple[int, ...], ...]
    """The highest of `wanted`, a row for each of the last steps that a worker takes to start."""
    judged: float = 0.0
    """Arrivals of which it is known whether they started late."""
    peaks: tuple[tuple[float, int], ...] = ()
    """(time, workers that the real work at hand needed): the falling maxima of the hold window."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the real pool shows of one step."""

    end_seconds: float
    arrivals: int
    due: float
    """Tasks that had to be started by its end, summed since the memory began."""
    before: float
    """The same at the end of the step before."""
    ending: float
    """Ends per running task."""
    workers_needed: int
    """By the work at hand."""
    service_seconds: float
    start_seconds: float
    stabilization_seconds: float


def fresh_replay(
    *, most_workers: int, concurrency: int, target_seconds: float, service_seconds: float
) -> Replay:
    keeps = _candidates(most_workers)
    zeros = (0.0,) * len(keeps)
    grain = max(1, round(max(service_seconds / STEPS_PER_SERVICE, target_seconds / STEPS_PER_TARGET)))
    # As if each number had been kept before, so that the first burst already says what keeping it saves.
    return Replay(
        keeps,
        concurrency,
        target_seconds,
        grain,
        zeros,
        zeros,
        zeros,
        zeros,
        zeros,
        wanted=(keeps,),
        asked=(keeps,),
    )


def step(replay: Replay, seen: Moment) -> Replay:
    """One grain of time."""
    each, grain, most = replay.concurrency, replay.grain, replay.keeps[-1]
    stay, stay_half = math.exp(-seen.ending), math.exp(-seen.ending / 2)
    share = min(1.0, seen.service_seconds / replay.target_seconds)
    asked_rows = replay.asked[-1 - max(1, round(seen.start_seconds / grain)) :]
    peaks = _fall(replay.peaks, seen.end_seconds, min(most, seen.workers_needed))
    top = peaks[0][1] if peaks else 0
    waiting, running, started, late, wanted = [], [], [], [], []
    for keep, ready, queue, busy, sum_started in zip(
        replay.keeps, _least(asked_rows), replay.waiting, replay.running, replay.started, strict=True
    ):
        slots = ready * each
        queue += seen.arrivals
        able = max(0.0, slots - busy) + slots * seen.ending
        starting = min(queue, able)
        busy = busy * stay + starting * stay_half if queue <= able else max(busy * stay, float(slots))
        queue -= starting
        sum_started += starting
        need = math.ceil(round((busy + queue * share) / each, 6))
        waiting.append(queue)
        running.append(busy)
        started.append(sum_started)
        late.append(max(0.0, seen.due - max(sum_started, seen.before)))
        wanted.append(min(most, max(need, min(keep, top))))
    fade = math.exp(-grain / MEMORY_SECONDS)
    wanted_rows = (*replay.wanted, tuple(wanted))[-max(1, round(seen.stabilization_seconds / grain)) :]
    asked = wanted_rows[0] if len(wanted_rows) == 1 else tuple(map(max, *wanted_rows))
    return replace(
        replay,
        waiting=tuple(waiting),
        running=tuple(running),
        started=tuple(started),
        late=tuple(old * fade + new for old, new in zip(replay.late, late, strict=True)),
        cost=tuple(old * fade + new for old, new in zip(replay.cost, asked, strict=True)),
        wanted=wanted_rows,
        asked=(*asked_rows, asked),
        judged=replay.judged * fade + seen.due - seen.before,
        peaks=peaks,
    )


def skip(replay: Replay, steps: int, end_seconds: float) -> Replay:
    """So many steps without work or workers, at once; every simulated pool is empty afterwards."""
    fade = math.exp(-replay.grain * steps / MEMORY_SECONDS)
    zeros, none = (0.0,) * len(replay.keeps), ((0,) * len(replay.keeps),)
    return replace(
        replay,
        waiting=zeros,
        running=zeros,
        started=(max(replay.started),) * len(replay.keeps),
        late=tuple(old * fade for old in replay.late),
        cost=tuple(old * fade for old in replay.cost),
        wanted=none,
        asked=none,
        judged=replay.judged * fade,
        peaks=_fall(replay.peaks, end_seconds, 0),
    )


def kept_now(replay: Replay, index: int, now_seconds: float) -> int:
    """What the candidate keeps: none of them is more than some moment of the last `HOLD_SECONDS` needed."""
    since = now_seconds - HOLD_SECONDS
    return min(replay.keeps[index], next((workers for at, workers in replay.peaks if at > since), 0))


def _candidates(most: int) -> tuple[int, ...]:
    """0, 1, 2, … and above 16 in steps of an eighth, up to `most`."""
    numbers = list(range(min(most, 16) + 1))
    while numbers[-1] < most:
        numbers.append(min(most, numbers[-1] + max(1, numbers[-1] // 8)))
    return tuple(numbers)


def _least(rows: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """Workers that are ready: those asked for in each of these steps."""
    return rows[0] if len(rows) == 1 else tuple(map(min, *rows))


def _fall(peaks: tuple[tuple[float, int], ...], now: float, workers: int) -> tuple[tuple[float, int], ...]:
    kept = [entry for entry in peaks if entry[0] > now - HOLD_SECONDS and entry[1] > workers]
    return (*kept, (now, workers)) if workers else tuple(kept)
