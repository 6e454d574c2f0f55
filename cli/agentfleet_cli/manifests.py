"""Manifests in files, as `kubectl apply -f` would take them, with what is wrong in them and where it stands.

`validate` prints the problems, `dev` runs what has none. Of a Secret the data counts; of other groups'
documents only that they are ones.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter

from agentfleet_cli.yaml_lines import Document, NotYamlError, read_documents
from agentfleet_core.api.structural import Problem, ProblemKind
from agentfleet_core.api.v1alpha1 import AnyResource
from agentfleet_core.api.validation import BY_NAME, is_ours, manifest_problems, nameless
from agentfleet_core.errors import InvalidManifest
from agentfleet_core.fleet.review import review
from agentfleet_core.suggest import meant

SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
RESOURCE: Final[TypeAdapter[AnyResource]] = TypeAdapter(Annotated[AnyResource, Field(discriminator="kind")])

Identity = tuple[str, str, str]
"""Namespace, kind, name."""


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One thing wrong, and where it stands; `field` is empty when the file as a whole is meant."""

    file: Path
    line: int
    kind: str
    name: str
    field: str
    message: str
    what: ProblemKind

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.field}: {self.message}".replace("  : ", "  ")


@dataclass(slots=True)
class Loaded:
    """What files hold. `resources` are those that the API server would accept."""

    resources: list[AnyResource] = field(default_factory=list)
    secrets: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    """By namespace and name."""
    problems: list[FileProblem] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    documents: dict[Identity, Document] = field(default_factory=dict)
    """Of our kinds, by identity."""


def load_manifests(
    paths: Sequence[Path], now: datetime, *, beside: Loaded | None = None, secrets_are_here: bool = False
) -> Loaded:
    """Everything in `paths` with every problem, those seen only in view of all objects included.

    `beside` is what runs already: references to it are known, and what is immutable in it stays.
    `secrets_are_here`: no Secret exists but those in the files, so a reference to another is a problem.
    Raises `InvalidManifest` when a path does not exist.
    """
    loaded = Loaded()
    for path in paths:
        for file in manifest_files(path):
            loaded.files.append(file)
            _load_file(file, loaded, beside)
    _review(loaded, now, beside, secrets_are_here)
    places = {file: index for index, file in enumerate(loaded.files)}
    loaded.problems.sort(key=lambda one: (places[one.file], one.line))
    return loaded


def manifest_files(path: Path) -> list[Path]:
    """Of a folder those directly in it, as kubectl does; a file is itself."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InvalidManifest(f"{path} does not exist")
    return sorted(found for found in path.iterdir() if found.suffix in SUFFIXES and found.is_file())


def _load_file(file: Path, loaded: Loaded, beside: Loaded | None) -> None:
    try:
        documents = [*read_documents(file)]
    except NotYamlError as error:
        loaded.problems.append(FileProblem(file, error.line, "", "", "", str(error), ProblemKind.VALUE))
        return
    for document in documents:
        if is_ours(document.value):
            _load_ours(document, loaded, beside)
            continue
        loaded.problems += (_in_file(document, one) for one in nameless(document.value))
        if document.value.get("kind") == "Secret":
            loaded.problems += _load_secret(document, loaded)


def _load_ours(document: Document, loaded: Loaded, beside: Loaded | None) -> None:
    key = identity(document.value)
    old = beside.documents.get(key) if beside is not None else None
    problems = [
        *(Problem(path, "stands twice in one object", ProblemKind.DUPLICATE) for path in document.repeated),
        *manifest_problems(document.value, old.value if old is not None else None),
    ]
    first = loaded.documents.get(key)
    if first is not None and key[2]:
        message = f"{key[1]} {key[2]} stands in {first.file}:{first.line_of('metadata.name')} already"
        problems.append(Problem("metadata.name", message, ProblemKind.DUPLICATE))
    loaded.problems += (_in_file(document, one) for one in problems)
    loaded.documents.setdefault(key, document)
    if not problems:
        loaded.resources.append(as_resource(document.value))


def as_resource(value: Mapping[str, Any]) -> AnyResource:
    """Without its status, which is no manifest's to say."""
    return RESOURCE.validate_python({name: part for name, part in value.items() if name != "status"})


def identity(value: Mapping[str, Any]) -> Identity:
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    return (
        str(metadata.get("namespace", "default")),
        str(value.get("kind", "")),
        str(metadata.get("name", "")),
    )


def _in_file(document: Document, problem: Problem) -> FileProblem:
    _, kind, name = identity(document.value)
    line = document.line_of(problem.field)
    return FileProblem(document.file, line, kind, name, problem.field, problem.message, problem.kind)


def _load_secret(document: Document, loaded: Loaded) -> Iterator[FileProblem]:
    namespace, _, name = identity(document.value)
    data, plain = document.value.get("data") or {}, document.value.get("stringData") or {}
    values: dict[str, bytes] = {}
    for key, value in data.items():
        try:
            values[key] = base64.b64decode(str(value), validate=True)
        except binascii.Error:
            problem = Problem(
                f"data.{key}", "is no base64; write plain text under stringData", ProblemKind.VALUE
            )
            yield _in_file(document, problem)
    values |= {key: str(value).encode() for key, value in plain.items()}
    loaded.secrets.setdefault(namespace, {})[name] = values


def _review(loaded: Loaded, now: datetime, beside: Loaded | None, secrets_are_here: bool) -> None:
    """Each namespace is a fleet of its own. An object with a problem of its own still exists for the
    others.
    """
    around = beside or Loaded()
    resources = loaded.resources + [
        one for one in around.resources if _identity_of(one) not in loaded.documents
    ]
    existing = {**around.documents, **loaded.documents}
    for namespace in {one.metadata.namespace for one in loaded.resources}:
        fleet = [one for one in resources if one.metadata.namespace == namespace]
        # Also under a kind that is misspelt: that is told where it stands, and once.
        names = [(meant(kind, BY_NAME) or kind, name) for where, kind, name in existing if where == namespace]
        secrets = around.secrets.get(namespace, {}) | loaded.secrets.get(namespace, {})
        for finding in review(fleet, secrets if secrets_are_here else None, now, existing=names):
            document = loaded.documents.get((namespace, finding.kind, finding.name))
            if document is not None:
                problem = Problem(finding.field, finding.message, ProblemKind.FINDING)
                loaded.problems.append(_in_file(document, problem))


def _identity_of(one: AnyResource) -> Identity:
    return one.metadata.namespace, one.kind, one.metadata.name
