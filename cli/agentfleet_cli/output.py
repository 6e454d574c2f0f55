"""How every command speaks: text or JSON on stdout, one clear line for an error on stderr."""

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from agentfleet_core.errors import (
    AgentfleetError,
    BudgetExhausted,
    Conflict,
    DeadlineExceeded,
    InvalidInput,
    InvalidRequest,
    NotFound,
    Overloaded,
    Unauthorized,
    Unavailable,
)
from agentfleet_core.problems import problem_of


class WrongCommandLine(InvalidRequest):
    """An argument that no fleet would understand."""


EXIT_CODES: tuple[tuple[type[AgentfleetError], int], ...] = (
    (WrongCommandLine, 2),
    (InvalidInput, 3),
    (NotFound, 3),
    (Conflict, 3),
    (Unauthorized, 4),
    (Unavailable, 5),
    (Overloaded, 6),
    (BudgetExhausted, 6),
    (DeadlineExceeded, 7),
)
"""The first that fits; 1 for anything else, 2 for a wrong command line, 130 for Ctrl-C."""

EXIT_CODES_HELP = (
    "Exit codes: 0 done; 1 the task or the command failed; 2 wrong command line; 3 refused, something in the"
    " request must change; 4 key missing or wrong; 5 fleet out of reach; 6 not now (busy, budget"
    " spent); 7 not ended in time; 130 interrupted."
)

UNDER = " " * 4
"""Where a table's last column goes on."""


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"


W = TypeVar("W", bound=StrEnum)


def one_of(words: type[W], called: str) -> Callable[[str], W]:
    """Reads an option's value; a wrong one is told in our words, not in a library's."""

    def read(text: str) -> W:
        try:
            return words(text)
        except ValueError as error:
            *most, last = words
            there = f"{', '.join(most)} and {last}"
            raise typer.BadParameter(f"{text} is no {called}: there are {there}") from error

    return read


OutputOption = Annotated[
    Format,
    typer.Option(
        "--output",
        "-o",
        parser=one_of(Format, "output"),
        metavar="|".join(Format),
        help="text for people, json for programs",
    ),
]
TenantOption = Annotated[
    str | None, typer.Option("--tenant", help="act for this tenant of a running `agentfleet dev`")
]

P = ParamSpec("P")


def verb(function: Callable[P, None]) -> Callable[P, None]:
    """A command whose errors become one line on stderr, as JSON where it speaks that, and an exit code."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        with one_line_errors(as_json=kwargs.get("output") is Format.JSON):
            function(*args, **kwargs)

    return guarded


@contextmanager
def one_line_errors(*, as_json: bool) -> Iterator[None]:
    try:
        yield
    except AgentfleetError as error:
        if as_json:
            print(json.dumps(problem_of(error), ensure_ascii=False), file=sys.stderr)
        else:
            say_error(str(error))
        raise typer.Exit(exit_code(error)) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error
    except BrokenPipeError as error:
        # Whoever read our output (`| head`) has enough; a second failure at exit would say nothing new.
        sys.stdout = None
        raise typer.Exit(0) from error


def exit_code(error: AgentfleetError) -> int:
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


def own_name() -> str:
    """How whoever reads our hints can call us: `agentfleet`, or its path where no shell would find it."""
    called = Path(sys.argv[0])
    found = shutil.which("agentfleet")
    if called.name != "agentfleet" or (found and Path(found).resolve() == called.resolve()):
        return "agentfleet"
    try:
        return str(called.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(called)


def say_error(text: str) -> None:
    print(f"error: {text}", file=sys.stderr)


def say_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, default=_plain), flush=True)


def say_lines(lines: Iterable[str]) -> None:
    """Cut at the terminal's width; whole where a program reads them."""
    width = terminal_width()
    for line in lines:
        print(line[:width])


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: frozenset[int] = frozenset(),
    width: int | None = None,
) -> list[str]:
    """Aligned columns; those in `right` to the right, the last one open-ended: in a row that would be wider
    than `width` it stands underneath.
    """
    sizes = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines: list[str] = []
    for row in (header, *rows):
        cells = [
            cell.rjust(size) if column in right else cell.ljust(size)
            for column, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ]
        line = "  ".join(cells).rstrip()
        if width is None or len(line) <= width:
            lines.append(line)
            continue
        lines.append("  ".join(cells[:-1]).rstrip())
        if row[-1] != "-":
            lines += textwrap.wrap(row[-1], width, initial_indent=UNDER, subsequent_indent=UNDER)
    return lines


def wrapped(start: str, text: str, width: int = 80) -> list[str]:
    """`start` and the text behind it; what has no room goes on under the text."""
    return textwrap.wrap(
        text, width, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False
    )


def terminal_width() -> int | None:
    """None where a program reads."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
