"""PURE. What the API server would say of one manifest, before it is sent.

The order is the server's: unknown fields, defaults, schema, and then, if nothing is missing or of the wrong
type, the rules.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from agentfleet_core.api.cel import rule_problems
from agentfleet_core.api.crdgen import structural_schema
from agentfleet_core.api.structural import (
    BLOCKING,
    Problem,
    ProblemKind,
    schema_problems,
    unknown_fields,
    with_defaults,
)
from agentfleet_core.api.v1alpha1 import API_VERSION, GROUP, KINDS
from agentfleet_core.api.v1alpha1.base import Kind
from agentfleet_core.suggest import choices

BY_NAME: Mapping[str, type[Kind]] = {kind.__name__: kind for kind in KINDS}

METADATA_FIELDS = frozenset(
    {
        "name", "generateName", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "uid",
        "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
        "deletionGracePeriodSeconds", "selfLink", "managedFields",
    }
)  # fmt: skip
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


def is_ours(document: Mapping[str, Any]) -> bool:
    """Of our group whatever the version, or one of our kinds with that group left out or misspelt."""
    group = str(document.get("apiVersion") or "").partition("/")[0]
    meant = not group or get_close_matches(group, [GROUP])
    return group == GROUP or (bool(meant) and str(document.get("kind")) in BY_NAME)


def nameless(document: Mapping[str, Any]) -> Iterator[Problem]:
    """What nobody's document may lack: without these it goes nowhere."""
    for field in ("apiVersion", "kind"):
        if not document.get(field):
            yield Problem(field, "is required", ProblemKind.REQUIRED)


def manifest_problems(document: Mapping[str, Any], old: Mapping[str, Any] | None = None) -> list[Problem]:
    """Everything wrong with a document of our group; `old` is the object as it stands, if it is an update."""
    identity = [*_identity_problems(document)]
    if identity:
        return identity
    schema = schema_of(str(document["kind"]))
    # The server takes no status from a manifest: the status subresource is the operator's.
    known = {name: value for name, value in document.items() if name != "status"}
    problems = [*_metadata_problems(known.get("metadata")), *unknown_fields(schema, _body(known), "")]
    filled = with_defaults(schema, known)
    # Metadata's name is checked above, in our words; the rest of it is not in the schema.
    wrong = [one for one in schema_problems(schema, filled, "") if one.field.partition(".")[0] != "metadata"]
    problems += wrong
    if not BLOCKING & {one.kind for one in wrong}:
        before = None if old is None else with_defaults(schema, old)
        problems += rule_problems(schema, filled, before, "")
    return problems


@cache
def schema_of(kind: str) -> Mapping[str, Any]:
    return structural_schema(BY_NAME[kind])


def _body(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "metadata"}


def _identity_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    version, kind = document.get("apiVersion"), document.get("kind")
    if not version:
        yield Problem("apiVersion", f"is required; write {API_VERSION}", ProblemKind.REQUIRED)
    elif version != API_VERSION:
        yield Problem("apiVersion", f'"{version}" is not served; write {API_VERSION}', ProblemKind.VALUE)
    if kind is None:
        yield Problem("kind", "is required", ProblemKind.REQUIRED)
    elif str(kind) not in BY_NAME:
        yield Problem(
            "kind", f'"{kind}" is no kind of {GROUP}; {choices(str(kind), BY_NAME)}', ProblemKind.VALUE
        )


def _metadata_problems(metadata: Any) -> Iterator[Problem]:
    if not isinstance(metadata, Mapping):
        yield Problem("metadata.name", "is required", ProblemKind.REQUIRED)
        return
    for name in metadata:
        if name not in METADATA_FIELDS:
            message = f"unknown field; {choices(str(name), METADATA_FIELDS)}"
            yield Problem(f"metadata.{name}", message, ProblemKind.UNKNOWN)
    name = metadata.get("name")
    if name in (None, ""):
        yield Problem("metadata.name", "is required", ProblemKind.REQUIRED)
    else:
        schema = schema_of("AgentPool")["properties"]["metadata"]["properties"]["name"]
        yield from schema_problems(schema, name, "metadata.name")
    for part in ("labels", "annotations"):
        yield from _label_problems(metadata.get(part), part)


def _label_problems(entries: Any, part: str) -> Iterator[Problem]:
    if entries is None:
        return
    if not isinstance(entries, Mapping):
        yield Problem(f"metadata.{part}", "must be an object", ProblemKind.TYPE)
        return
    for key, value in entries.items():
        where = f"metadata.{part}"
        if not LABEL_KEY.fullmatch(str(key)):
            yield Problem(
                where, f'"{key}" is no name of a label: write letters, digits, - _ .', ProblemKind.VALUE
            )
        if not isinstance(value, str):
            yield Problem(f"{where}.{key}", "must be a string: put quotes around it", ProblemKind.TYPE)
        elif part == "labels" and (len(value) > 63 or not LABEL_VALUE.fullmatch(value)):
            message = f'"{value}" is no value of a label: write at most 63 letters, digits, - _ .'
            yield Problem(where, message, ProblemKind.VALUE)
