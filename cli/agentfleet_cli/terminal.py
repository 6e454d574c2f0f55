"""A screen that is redrawn in place, and that leaves the terminal as it was whatever ends it."""

import os
import signal
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


@contextmanager
def own_foreground() -> Iterator[None]:
    """Ctrl-C reaches us alone, not the `make` or script that started us and would call it a failure.

    Only where we share its process group in a terminal's foreground; Ctrl-Z does nothing meanwhile, as it
    would stop us and leave whoever waits for us stuck."""
    former = os.getpgrp()
    if not sys.stdin.isatty() or former == os.getpid() or os.tcgetpgrp(sys.stdin.fileno()) != former:
        yield
        return
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTTOU, signal.SIGTSTP)}
    os.setpgid(0, 0)
    os.tcsetpgrp(sys.stdin.fileno(), os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(sys.stdin.fileno(), former)
        os.setpgid(0, former)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def is_terminal() -> bool:
    return sys.stdout.isatty()
