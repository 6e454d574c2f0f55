"""`agentfleet simulate-api`: the simulated provider alone, to point any client at."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from agentfleet_cli.output import Format, OutputOption, WrongCommandLine, say_json, verb
from agentfleet_cli.simulator.__main__ import run_simulator
from agentfleet_cli.simulator.behaviour import Behaviour
from agentfleet_cli.simulator.scenario import load_scenes
from agentfleet_cli.simulator.server import Simulator
from agentfleet_core.errors import InvalidInput

Port = Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one")]
Seed = Annotated[int, typer.Option(help="the same seed answers the same")]
Speed = Annotated[float, typer.Option(min=0.001, help="10 answers ten times as fast")]
ErrorRate = Annotated[float, typer.Option(min=0, max=1, help="share of calls that fail")]
Scenario = Annotated[Path | None, typer.Option(help="a scenario file (YAML) with scripted answers")]
Knobs = Annotated[
    list[str] | None,
    typer.Option("--set", help="any other knob, name=value, as --set requests_per_minute=50; repeatable"),
]


@verb
def simulate_api(
    host: str = "127.0.0.1",
    port: Port = 8089,
    seed: Seed = 0,
    speed: Speed = 1.0,
    error_rate: ErrorRate = 0.0,
    scenario: Scenario = None,
    knobs: Knobs = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Serve a simulated Messages API until Ctrl-C: no key, no money, same answers for the same seed."""
    try:
        behaviour = Behaviour(seed=seed, speed=speed, error_rate=error_rate).changed(_values(knobs or ()))
    except ValueError as error:
        raise WrongCommandLine(str(error)) from error
    try:
        scenes = load_scenes(scenario) if scenario else ()
    except (ValueError, OSError) as error:
        raise InvalidInput(str(error)) from error

    def announce(url: str) -> None:
        if output is Format.JSON:
            say_json({"event": "ready", "url": url})
            return
        print(f"simulated Messages API at {url}   (Ctrl-C ends it)")
        print(f"  any client   ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=any")
        print(f"  its bill     curl {url}/sim/bill")

    run_simulator(Simulator(behaviour, scenes), host=host, port=port, announce=announce)


def _values(knobs: Sequence[str]) -> dict[str, Any]:
    """Raises ValueError for what is not name=value."""
    found: dict[str, Any] = {}
    for knob in knobs:
        name, sign, value = knob.partition("=")
        if not sign:
            raise ValueError(f"--set {knob}: write name=value")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
