"""What a running `agentfleet dev` leaves in the user's state folder, so that clients need no settings.

The file holds keys: its user alone can read it, and it counts only while the process that wrote it lives.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunningFleet:
    url: str
    admin_key: str
    tenant_keys: Mapping[str, str]
    """Tenant to its API key."""
    pid: int
    """The process that runs the fleet."""
    simulator_url: str = ""
    """Empty when the real provider is used."""

    @property
    def default_key(self) -> str | None:
        """The key of the first tenant by name."""
        return self.tenant_keys[min(self.tenant_keys)] if self.tenant_keys else None


def state_file() -> Path:
    """Of the fleet that clients find: the newest."""
    return _folder() / "running.json"


def _folder() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "agentfleet"


def running_fleet() -> RunningFleet | None:
    """The newest fleet that runs on this machine; None when there is none, or its process has gone."""
    return _read(state_file())


def _read(path: Path) -> RunningFleet | None:
    try:
        found = RunningFleet(**json.loads(path.read_text()))
        os.kill(found.pid, 0)
    except (OSError, ValueError, TypeError):
        return None
    return found


def announce(fleet: RunningFleet) -> None:
    """Clients find this one; one that was found until now steps back until this one has gone."""
    path = state_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(f".{fleet.pid}")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(asdict(fleet)))
    before = running_fleet()
    if before is not None and before.pid != fleet.pid:
        path.replace(_aside(before.pid))
    fresh.replace(path)


def _aside(pid: int) -> Path:
    """Where an older fleet's file waits."""
    return _folder() / f"running-{pid}.json"


def withdraw(pid: int) -> None:
    """Remove the process's file; the newest of the others that run is found from now on."""
    _aside(pid).unlink(missing_ok=True)
    found = running_fleet()
    if found is None or found.pid != pid:
        return
    others = sorted(_folder().glob("running-*.json"), key=lambda path: path.stat().st_mtime)
    while others:
        other = others.pop()
        if _read(other) is not None:
            other.replace(state_file())
            return
        other.unlink(missing_ok=True)
    state_file().unlink(missing_ok=True)
