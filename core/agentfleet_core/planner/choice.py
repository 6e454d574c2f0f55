"""PURE. How many workers to keep: the cheapest number whose late starts the promise allows.

The promise is an error budget (Beyer et al., Site Reliability Engineering, 2016, chapter 3): a share of tasks
may start late, what was left of it before may be spent, and what was overdrawn is to be paid back. Each late
start that a larger number would have saved has a price in worker time. We go from the cheapest number up,
each time to the one that saves late starts at the lowest price, as on the convex hull of cost against late
starts. For the promise itself any price is paid. For paying back, and where no number would have kept the
promise, only the usual price: what saving all that can be saved costs on average, twice.
"""

import math
from collections.abc import Sequence

USUAL = 2.0


def cheapest(late: Sequence[float], cost: Sequence[float], *, allowed: float, owed: float) -> int:
    """The index to keep. `allowed` late starts keep the promise; `owed`, if it is fewer, also pays back."""
    at = min(range(len(cost)), key=cost.__getitem__)
    least = min(late)
    savable = late[at] - least
    if savable <= 0:
        return at
    usual = USUAL * (max(cost) - cost[at]) / savable
    firm = allowed if least <= allowed else late[at]
    while late[at] > max(least, min(allowed, owed)):
        price, found = min(
            ((cost[i] - cost[at]) / (late[at] - late[i]), i) for i in range(len(late)) if late[i] < late[at]
        )
        if price > (math.inf if late[at] > firm else usual):
            break
        at = found
    return at
