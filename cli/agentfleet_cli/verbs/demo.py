"""`agentfleet demo`: watch a whole fleet work on this machine, in about a minute."""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from agentfleet_cli.demo.plain import PlainStory
from agentfleet_cli.demo.spend import question, worst_case
from agentfleet_cli.demo.story import Show, play
from agentfleet_cli.local.fleet import LocalOptions
from agentfleet_cli.local.manifests import read_manifests
from agentfleet_cli.local.signals import until_stopped
from agentfleet_cli.output import Format, OutputOption, own_name, say_json, verb
from agentfleet_cli.terminal import is_terminal, live_screen, own_foreground
from agentfleet_cli.verbs.dev import simulator_arguments
from agentfleet_cli.views.fleet import Frame, Json, Phases, screen
from agentfleet_cli.views.report import Sitting, report_json, report_lines
from agentfleet_core.errors import NotFound

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "support"
NEXT = """
next
  your own task    {name} dev -f examples/support, in a second terminal
    {name} submit refund-request order=A-1001 message=Broken --wait
  on Kubernetes    helm install af charts/agentfleet -n fleet --create-namespace
    (docs/kubernetes.md: images, keys, and the manifests to apply then)"""

Manifests = Annotated[Path, typer.Option("-f", "--filename", help="the example's folder")]
Seed = Annotated[int, typer.Option(help="of the simulated provider")]


@verb
def demo(filename: Manifests = EXAMPLE, seed: Seed = 7, output: OutputOption = Format.TEXT) -> None:
    """Watch a fleet for a minute: woken from zero, agents at work, a budget spent, back to zero."""
    requests = filename / "requests.jsonl"
    if not requests.is_file():
        raise NotFound("example", f"{filename} (run this in a checkout, or name the folder with -f)")
    with own_foreground():
        key = real_key(filename) if output is Format.TEXT else ""
        options = LocalOptions(
            manifests=filename,
            provider_key=key,
            simulator_arguments=simulator_arguments(filename, None, seed=seed, speed=1.0),
        )
        stopped = asyncio.run(until_stopped(_run(options, requests, output)))
    if stopped and output is Format.TEXT:
        print("stopped; nothing is left running")


def real_key(filename: Path) -> str:
    """The provider's key, when there is one and whoever sits at the terminal agrees to spend."""
    key = os.environ.get("ANTHROPIC_API_KEY", "")
    if not key or not (is_terminal() and sys.stdin.isatty()):
        return ""
    answer = input(question(worst_case(read_manifests(filename).resources)))
    return key if answer.strip().lower() in ("y", "yes") else ""


async def _run(options: LocalOptions, requests: Path, output: Format) -> None:
    if output is Format.JSON:
        say_json(report_json(await play(options, requests, _show_nothing, _say_nothing)))
        return
    provider = "Anthropic, with real money" if options.provider_key else "simulated provider"
    print(f"starting Redis, coordinator and workers on this machine; {provider}", flush=True)
    with _stage_view(f"local fleet · {provider}") as show:
        sitting = await play(options, requests, show, _say_line)
    _say_report(sitting)


@contextmanager
def _stage_view(title: str) -> Iterator[Show]:
    """Redraws one screen in a terminal; elsewhere prints what has changed, line by line."""
    if not is_terminal():
        yield PlainStory(_say_line).show
        return
    phases = Phases()
    with live_screen() as draw:

        def show(look: Json, since: datetime, waiting_for: str) -> None:
            note = f"waiting for {waiting_for}   (Ctrl-C stops it)" if waiting_for else ""
            frame = Frame(title, since, draw.width, draw.height, note, phases.see(look))
            draw(screen(look, frame))

        yield show


def _say_report(sitting: Sitting) -> None:
    print("\n".join(report_lines(sitting)))
    print(NEXT.format(name=own_name()), flush=True)


def _say_line(line: str) -> None:
    print(line, flush=True)


def _say_nothing(line: str) -> None:
    pass


def _show_nothing(look: Mapping[str, Any], since: datetime, waiting_for: str) -> None:
    pass
