"""`agentfleet validate -f`: what the API server and the conditions would say, with file, line and field."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from agentfleet_cli.manifests import FileProblem, Loaded, load_manifests
from agentfleet_cli.output import Format, OutputOption, say_json, verb
from agentfleet_core.api.structural import ProblemKind
from agentfleet_core.errors import InvalidManifest

Files = Annotated[
    list[Path],
    typer.Option("--filename", "-f", help="a file, or a folder as `kubectl apply -f` reads it; repeatable"),
]
Against = Annotated[
    list[Path] | None,
    typer.Option(
        "--against",
        help="manifests that are applied already: what they hold may be referred to, and what is immutable in"
        " them may not change; repeatable",
    ),
]
WithSecrets = Annotated[
    bool, typer.Option("--secrets", help="also require every Secret that is referred to to be in the files")
]


@verb
def validate(
    filename: Files,
    against: Against = None,
    secrets: WithSecrets = False,
    output: OutputOption = Format.TEXT,
) -> None:
    """Check manifests before they are applied. Exit code 1 when there is an error.

    The code that they name is not looked at; `agentfleet dev` does that.
    """
    now = datetime.now(UTC)
    beside = load_manifests(against, now) if against else None
    loaded = load_manifests(filename, now, beside=beside, secrets_are_here=secrets)
    if not loaded.files:
        raise InvalidManifest(f"{' and '.join(map(str, filename))}: no .yaml, .yml or .json file is in there")
    if output is Format.JSON:
        say_json(_as_json(loaded))
    else:
        for line in report(loaded):
            print(line)
        if not against and any(one.what is ProblemKind.FINDING for one in loaded.problems):
            print("only these files were looked at; --against adds what is applied already", file=sys.stderr)
    if loaded.problems:
        raise typer.Exit(1)


def report(loaded: Loaded) -> list[str]:
    """A line per problem, aligned, then one that counts them."""
    places = [f"{one.file}:{one.line}" for one in loaded.problems]
    width = max(map(len, places), default=0)
    lines = [f"{place:<{width}}  {_said(one)}" for place, one in zip(places, loaded.problems, strict=True)]
    return [*lines, summary(loaded)]


def summary(loaded: Loaded) -> str:
    if loaded.problems:
        files = {one.file for one in loaded.problems}
        return f"{_count(len(loaded.problems), 'error')} in {_count(len(files), 'file')}"
    if not loaded.resources:
        return f"no AgentPool, TaskType, TenantBudget or ModelTier in {_count(len(loaded.files), 'file')}"
    return f"{_count(len(loaded.resources), 'object')} in {_count(len(loaded.files), 'file')}, no error"


def _said(one: FileProblem) -> str:
    return f"{one.field}: {one.message}" if one.field else one.message


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _as_json(loaded: Loaded) -> dict[str, object]:
    return {
        "valid": not loaded.problems,
        "objects": len(loaded.resources),
        "files": [str(file) for file in loaded.files],
        "errors": [
            {
                "file": str(one.file),
                "line": one.line,
                "kind": one.kind,
                "name": one.name,
                "field": one.field,
                "message": one.message,
                "type": one.what.name.lower(),
            }
            for one in loaded.problems
        ],
    }
