"""Manifests for local mode: what `validate` accepts, or its complaints as one error."""

from datetime import UTC, datetime
from pathlib import Path

from agentfleet_cli.manifests import Loaded, load_manifests, manifest_files
from agentfleet_core.errors import InvalidManifest


def read_manifests(path: Path, *, before: Loaded | None = None) -> Loaded:
    """Raises `InvalidManifest`, a line per mistake; `before` is what runs, whose immutable fields stay."""
    loaded = load_manifests([path], datetime.now(UTC), beside=before)
    if loaded.problems:
        raise InvalidManifest("\n".join(str(problem) for problem in loaded.problems))
    if not loaded.resources:
        raise InvalidManifest(f"{path} holds no AgentPool, TaskType, TenantBudget or ModelTier")
    return loaded


def stamp(path: Path) -> dict[Path, tuple[int, int]]:
    """File to modification time and size: tells one state of the files from another, in a few stat calls."""
    found: dict[Path, tuple[int, int]] = {}
    for file in manifest_files(path):
        state = file.stat()
        found[file] = (state.st_mtime_ns, state.st_size)
    return found
