"""Manifests from the files that `kubectl apply -f` would take, as resources and secrets."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import TypeAdapter, ValidationError

from agentfleet_core.api.v1alpha1 import AnyResource
from agentfleet_core.errors import InvalidManifest

SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
KINDS: Final = frozenset({"AgentPool", "ModelTier", "TaskType", "TenantBudget"})
RESOURCE: Final[TypeAdapter[AnyResource]] = TypeAdapter(AnyResource)


@dataclass(frozen=True, slots=True)
class Manifests:
    resources: tuple[AnyResource, ...]
    secrets: Mapping[str, Mapping[str, bytes]]
    """Of the Secret documents: name to key to value."""
    stamp: Mapping[Path, tuple[int, int]] = field(compare=False)
    """What tells one state of the files from another."""


def manifest_files(path: Path) -> list[Path]:
    """Of a folder those directly in it, as kubectl does; a file is itself."""
    if path.is_file():
        return [path]
    return sorted(found for found in path.iterdir() if found.suffix in SUFFIXES and found.is_file())


def stamp(path: Path) -> dict[Path, tuple[int, int]]:
    """File to modification time and size; cheap enough to ask twice a second."""
    found: dict[Path, tuple[int, int]] = {}
    for file in manifest_files(path):
        state = file.stat()
        found[file] = (state.st_mtime_ns, state.st_size)
    return found


def read_manifests(path: Path) -> Manifests:
    """Raises `InvalidManifest`, a line per mistake, each with its file and field."""
    if not path.exists():
        raise InvalidManifest(f"{path} does not exist")
    before = stamp(path)
    resources: list[AnyResource] = []
    secrets: dict[str, dict[str, bytes]] = {}
    mistakes: list[str] = []
    for file in before:
        try:
            for document in _documents(file):
                kind = document.get("kind")
                if kind == "Secret":
                    secrets[document["metadata"]["name"]] = _secret(document)
                elif kind in KINDS:
                    resources.append(RESOURCE.validate_python(document))
        except ValidationError as error:
            mistakes += [f"{file}: {_path(one['loc'])}: {one['msg']}" for one in error.errors()]
        except (yaml.YAMLError, json.JSONDecodeError, KeyError, TypeError, binascii.Error) as error:
            mistakes.append(f"{file}: {error}")
    if mistakes:
        raise InvalidManifest("\n".join(mistakes))
    if not resources:
        raise InvalidManifest(f"{path} holds no AgentPool, TaskType, TenantBudget or ModelTier")
    return Manifests(tuple(resources), secrets, before)


def _documents(file: Path) -> Iterator[dict[str, Any]]:
    for document in yaml.safe_load_all(file.read_text()):
        if isinstance(document, dict):
            yield from document["items"] if document.get("kind") == "List" else (document,)


def _secret(document: Mapping[str, Any]) -> dict[str, bytes]:
    values = {key: base64.b64decode(value) for key, value in (document.get("data") or {}).items()}
    plain = document.get("stringData") or {}
    return values | {key: str(value).encode() for key, value in plain.items()}


def _path(parts: tuple[int | str, ...]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
