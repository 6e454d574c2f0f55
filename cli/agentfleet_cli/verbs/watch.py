"""`agentfleet watch`: pools, queue, workers, spend and why, redrawn in place."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from agentfleet.running import running_fleet
from agentfleet_cli.connection import admin_client
from agentfleet_cli.output import Format, OutputOption, say_json, verb
from agentfleet_cli.terminal import live_screen
from agentfleet_cli.views.fleet import Frame, Phases, screen

Once = Annotated[bool, typer.Option("--once", help="show the fleet once and end")]
Every = Annotated[float, typer.Option(min=0.1, max=3_600, help="seconds between two looks")]


@verb
def watch(once: Once = False, every: Every = 1.0, output: OutputOption = Format.TEXT) -> None:
    """Watch the fleet until Ctrl-C. With JSON, one line per look."""
    # Ctrl-C is how a watch ends, so it is no failure.
    with admin_client() as client, contextlib.suppress(KeyboardInterrupt):
        _watch(_looks(client.fleet, 0.0 if once else every), output)


def _watch(looks: Iterator[Mapping[str, Any]], output: Format) -> None:
    if output is Format.JSON:
        for fleet in looks:
            say_json(fleet)
        return
    phases = Phases()
    with live_screen() as show:
        for fleet in looks:
            seen = phases.see(fleet)
            show(screen(fleet, Frame(_title(fleet), width=show.width, height=show.height, phases=seen)))


def _looks(look: Any, every_seconds: float) -> Iterator[Mapping[str, Any]]:
    while True:
        yield look()
        if not every_seconds:
            return
        time.sleep(every_seconds)


def _title(fleet: Mapping[str, Any]) -> str:
    running = running_fleet()
    identity = fleet["fleet"]
    if running is None or identity["install"] != "local":
        return f"{identity['install']}/{identity['namespace']}"
    return "local fleet · " + ("simulated provider" if running.simulator_url else "Anthropic")
