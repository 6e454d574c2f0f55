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
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "agentfleet" / "running.json"


def running_fleet() -> RunningFleet | None:
    """The fleet that runs on this machine; None when there is none, or its process has gone."""
    try:
        found = RunningFleet(**json.loads(state_file().read_text()))
        os.kill(found.pid, 0)
    except (OSError, ValueError, TypeError):
        return None
    return found


def announce(fleet: RunningFleet) -> None:
    """Write it whole or not at all."""
    path = state_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(f".{fleet.pid}")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(asdict(fleet)))
    fresh.replace(path)


def withdraw(pid: int) -> None:
    """Remove the file if it is of this process."""
    found = running_fleet()
    if found is not None and found.pid == pid:
        state_file().unlink(missing_ok=True)
