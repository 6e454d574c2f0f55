"""`agentfleet dev`: a whole fleet on this machine, from a folder of manifests, until Ctrl-C."""

import asyncio
import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from agentfleet import running
from agentfleet_cli.local.announce import announced
from agentfleet_cli.local.example_command import example_command
from agentfleet_cli.local.fleet import LocalFleet, LocalOptions
from agentfleet_cli.local.signals import until_stopped
from agentfleet_cli.output import Format, OutputOption, own_name, say_json, verb
from agentfleet_core.errors import Unavailable

Manifests = Annotated[
    Path,
    typer.Option(
        "-f", "--filename", help="a folder of manifests, or one file; it and the code beside it are followed"
    ),
]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="of the HTTP API; 0 takes a free one")]
Data = Annotated[
    Path | None, typer.Option(help="a folder that keeps tasks, spend and keys; a temporary one when left out")
]
Simulate = Annotated[
    bool | None,
    typer.Option("--simulate/--no-simulate", help="default: simulated without ANTHROPIC_API_KEY"),
]
Scenario = Annotated[
    Path | None,
    typer.Option(help="scripted answers of the simulator; default: simulator/scenes.yaml of the folder"),
]
Speed = Annotated[
    float, typer.Option("--sim-speed", min=0.001, help="10: the simulator answers ten times as fast")
]
Seed = Annotated[int, typer.Option("--sim-seed", help="of the simulator")]


@verb
def dev(
    filename: Manifests,
    port: Port = 8080,
    host: str = "127.0.0.1",
    data: Data = None,
    simulate: Simulate = None,
    scenario: Scenario = None,
    sim_speed: Speed = 1.0,
    sim_seed: Seed = 0,
    output: OutputOption = Format.TEXT,
) -> None:
    """Run a fleet on this machine: Redis, coordinator, workers, planner. Ctrl-C leaves nothing behind."""
    key = os.environ.get("ANTHROPIC_API_KEY", "")
    if simulate is False and not key:
        raise Unavailable("--no-simulate needs ANTHROPIC_API_KEY")
    options = LocalOptions(
        manifests=filename,
        data=data,
        host=host,
        port=port,
        provider_key="" if simulate else key,
        simulator_arguments=simulator_arguments(filename, scenario, seed=sim_seed, speed=sim_speed),
    )
    asyncio.run(until_stopped(_run(options, output)))


def simulator_arguments(
    manifests: Path, scenario: Path | None, *, seed: int, speed: float
) -> tuple[str, ...]:
    found = scenario or manifests / "simulator" / "scenes.yaml"
    scripted = ("--scenario", str(found)) if scenario or found.is_file() else ()
    return ("--seed", str(seed), "--speed", str(speed), *scripted)


async def _run(options: LocalOptions, output: Format) -> None:
    """Raises `Unavailable` when the fleet broke; a signal ends it."""

    def say_change(line: str) -> None:
        if output is Format.JSON:
            say_json({"event": "notice", "text": line})
        else:
            print(line, flush=True)

    async with LocalFleet(options, say_change) as fleet:
        with announced(fleet):
            if output is Format.JSON:
                say_json(_ready_json(fleet))
            else:
                print("\n".join(_banner(fleet, options)), flush=True)
            raise Unavailable(await fleet.failed())


def _ready_json(fleet: LocalFleet) -> dict[str, Any]:
    return {
        "event": "ready",
        "url": fleet.url,
        "redis_url": fleet.redis_url,
        "simulator_url": fleet.simulator_url,
        "pid": os.getpid(),
        "context_file": str(running.state_file()),
        "logs": str(fleet.folder),
    }


def _banner(fleet: LocalFleet, options: LocalOptions) -> list[str]:
    config = fleet.config
    pools = ", ".join(
        f"{name} (up to {pool.spec.scaling.max_replicas})" for name, pool in config.pools.items()
    )
    provider = "simulated provider" if fleet.simulator_url else "Anthropic, with real money"
    data = options.data or "gone when this ends; --data DIR keeps it"
    lines = [
        f"agentfleet dev · {options.manifests} · {provider}",
        f"  api        {fleet.url}   (its description: /openapi.json)",
        f"  pools      {pools}",
        f"  tenants    {', '.join(config.tenants)}   (keys: {running.state_file()})",
        f"  redis      {fleet.redis_url}   (data: {data})",
    ]
    if fleet.simulator_url:
        lines.append(f"  simulator  {fleet.simulator_url}   (its bill: /sim/bill)")
    lines += [
        f"  logs       {fleet.folder}",
        "in another terminal:",
        f"  {own_name()} {shlex.join(example_command(config))}",
        f"  {own_name()} watch",
        "Ctrl-C ends it.",
    ]
    return lines
