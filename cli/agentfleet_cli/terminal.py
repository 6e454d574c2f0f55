"""A screen that is redrawn in place, and that leaves the terminal as it was whatever ends it."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text


class Screen:
    """Call it with lines. Without a terminal each call prints them below the last ones."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self._console = console
        self._live = live

    @property
    def width(self) -> int:
        return self._console.width if self._live else 80

    @property
    def height(self) -> int:
        return self._console.height if self._live else 1_000

    def __call__(self, lines: Sequence[str]) -> None:
        if self._live is None:
            print("\n".join(lines), flush=True)
        else:
            self._live.update(Text("\n".join(lines), no_wrap=True, overflow="crop"), refresh=True)


@contextmanager
def live_screen() -> Iterator[Screen]:
    console = Console(highlight=False)
    if not is_terminal():
        yield Screen(console, None)
        return
    with Live(console=console, auto_refresh=False, transient=False) as live:
        yield Screen(console, live)


def is_terminal() -> bool:
    return sys.stdout.isatty()
