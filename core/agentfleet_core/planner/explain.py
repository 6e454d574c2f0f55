"""PURE. A plan as the text of `agentfleet why pool/NAME`: the chain of numbers, each with its reason.

`>` marks the rule that decided.
"""

import textwrap
from collections.abc import Iterable

from agentfleet_core.planner.snapshot import Note, PoolPlan, Trouble
from agentfleet_core.planner.wording import count

WIDTH = 80


def explain(plan: PoolPlan, *, width: int = WIDTH) -> str:
    """Lines without a last newline."""
    decided = headline(plan)
    lines = [f"{plan.pool} wants {count(plan.wanted, 'worker')}"]
    numbers = max((len(f"{note.replicas:,}") for note in plan.notes), default=1) + 2
    words = max((len(note.reason) for note in plan.notes), default=1)
    for note in plan.notes:
        mark = ">" if note is decided else " "
        label = f"{mark}{note.replicas:>{numbers - 1},}  {note.reason:<{words}}  "
        lines += _wrapped(label, note.text, width)
    for index, note in enumerate(plan.not_counted):
        label = "  not counted: " if index == 0 else " " * 15
        lines += _wrapped(label, f"{note.text} ({note.reason})", width)
    if plan.replicas != plan.wanted:
        lines.append(f"  asked for now: {count(plan.replicas, 'worker')}")
    return "\n".join(lines)


def told(trouble: Iterable[Trouble], *, width: int = WIDTH) -> list[str]:
    """Lines below the chain: what keeps the workers from their work."""
    return [
        line for one in trouble for line in _wrapped("  trouble: ", f"{one.message} ({one.reason})", width)
    ]


def headline(plan: PoolPlan) -> Note:
    """The rule that set the number: the last one that left it as it is asked for, or as it is wanted."""
    for number in (plan.replicas, plan.wanted):
        for note in reversed(plan.notes):
            if note.replicas == number:
                return note
    return plan.notes[-1]


def _wrapped(label: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=label, subsequent_indent=" " * len(label), break_long_words=False
    )
