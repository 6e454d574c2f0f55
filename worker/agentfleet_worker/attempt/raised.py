"""PURE. What users' code raised, whatever it was: the one error that counts, in words that can be kept.

An exception may be a group of others, refuse to say its own text, or say what UTF-8 cannot; none of that
may reach the settlement, where it would cost the task its answer.
"""

from collections.abc import Iterator

from agentfleet_worker.attempt.outcomes import AttemptLost, AttemptStopped


def counting(error: BaseException) -> BaseException:
    """Of a group the error that decides how the attempt ends: what stopped the attempt, before any other."""
    leaves = list(_leaves(error))
    for kind in (AttemptLost, AttemptStopped):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """In the order in which they were raised; groups may be nested to any depth."""
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(reversed(each.exceptions))
        else:
            yield each
