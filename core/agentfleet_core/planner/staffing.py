"""PURE. How many slots keep the promise: a share of tasks starts within the target wait.

With smooth arrivals that is a question of queueing theory. Erlang's C formula gives the chance that a task
has to wait at all in a queue with Poisson arrivals, exponential service and n servers (A. K. Erlang, 1917;
in the form of L. Kleinrock, Queueing Systems I, 1975, section 3.5); the wait itself is then exponential with
the rate at which free capacity drains the queue.
"""

import math


def slots_for_rate(rate: float, service_seconds: float, target_seconds: float, share: float) -> int:
    """The fewest slots with which `share` of tasks start in time, at a steady `rate` of arrivals a second."""
    load = rate * service_seconds
    blocked = 1.0
    slots = 0
    while load > 0:
        slots += 1
        blocked = load * blocked / (slots + load * blocked)
        if slots > load and _share_in_time(slots, load, blocked, target_seconds / service_seconds) >= share:
            break
    return slots


def _share_in_time(slots: int, load: float, blocked: float, target: float) -> float:
    """`blocked` is Erlang B, what a queue without waiting room loses; `target` is in service times."""
    must_wait = blocked / (1 - (load / slots) * (1 - blocked))
    return 1 - must_wait * math.exp(-(slots - load) * target)


def slots_at_hand(waiting: int, running: int, service_seconds: float, target_seconds: float) -> float:
    """What is there now needs: a slot for each running task, and as many as start what waits in time."""
    return running + waiting * min(1.0, service_seconds / target_seconds)
