"""The API keys that local mode makes up: the same again when the fleet's data is kept."""

import json
import secrets
from pathlib import Path


class KeyRing:
    """`folder` None forgets them with the process."""

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / "keys.json" if folder else None
        self._keys: dict[str, str] = {}
        if self._file and self._file.exists():
            self._keys = json.loads(self._file.read_text())

    def key(self, owner: str) -> str:
        if owner not in self._keys:
            self._keys[owner] = f"af-{owner}-{secrets.token_urlsafe(24)}"
            if self._file:
                self._file.touch(mode=0o600)
                self._file.write_text(json.dumps(self._keys))
        return self._keys[owner]


def write_secrets(folder: Path, values: dict[str, dict[str, bytes]]) -> None:
    """A file per key, `<folder>/<secret>/<key>`, as a mounted volume has them."""
    for name, keys in values.items():
        place = folder / name
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for key, value in keys.items():
            file = place / key
            if not file.exists() or file.read_bytes() != value:
                fresh = place / f".{key}"
                fresh.touch(mode=0o600)
                fresh.write_bytes(value)
                fresh.replace(file)
