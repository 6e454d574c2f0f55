"""docs/reasons.md explains every reason word that people meet, in the words of its own enum.

`--update-golden` writes the page anew.
"""

import ast
import inspect
from enum import StrEnum
from pathlib import Path

import pytest

from agentfleet_core.api import conditions
from agentfleet_core.planner.reasons import Reason as PlannerReason
from agentfleet_core.queue.reasons import AttemptReason, TaskReason
from agentfleet_core.routing.reasons import RouteReason

PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"
HEAD = """\
# What the reason words mean

One word for one fact, the same in status, events, metrics, the API and on the screen. `agentfleet why
pool/NAME` lists a pool's rules in the order in which they spoke, each with the number of workers it left; `>`
marks the one that decided. `agentfleet why task/ID` says where a task is and why.

This page is generated from the code: `pytest tests/golden/test_reasons_page.py --update-golden`.
"""
SECTIONS: tuple[tuple[str, str, type[StrEnum]], ...] = (
    ("Why a pool has so many workers", "`watch`, the demo, `why pool/NAME`, scale events.", PlannerReason),
    ("Why a task waits, is tried again or ended", "A task's `reason`; `why task/ID`.", AttemptReason),
    ("Why the queue itself moved a task", "A task's `reason`.", TaskReason),
    ("Why a task got its tier", "The route in `why task/ID`.", RouteReason),
    ("Why a condition has its status", "`kubectl describe`; `agentfleet validate`.", conditions.Reason),
)


def meanings(words: type[StrEnum]) -> dict[str, str]:
    """A word to the docstring below it."""
    [found] = ast.parse(inspect.getsource(words)).body
    assert isinstance(found, ast.ClassDef)
    told = {}
    for line, below in zip(found.body, [*found.body[1:], None], strict=True):
        if not isinstance(line, ast.Assign) or not isinstance(line.value, ast.Constant):
            continue
        assert isinstance(below, ast.Expr), f"{line.value.value} needs a docstring"
        text = " ".join(str(ast.literal_eval(below.value)).split()).removeprefix("Surfaces ")
        told[str(line.value.value)] = text[:1].upper() + text[1:]
    return told


def page() -> str:
    parts = [HEAD]
    for title, where, words in SECTIONS:
        rows = [f"| {word} | {text} |" for word, text in meanings(words).items()]
        parts.append("\n".join([f"## {title}", where, "", "| word | meaning |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def test_the_page_explains_every_word(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page()


@pytest.mark.parametrize("words", [section[2] for section in SECTIONS])
def test_no_word_is_without_meaning(words: type[StrEnum]) -> None:
    assert list(meanings(words)) == [word.value for word in words]
