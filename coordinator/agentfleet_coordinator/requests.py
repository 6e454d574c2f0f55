"""PURE. Request bodies: strict JSON, and the fields of a submit, each refused with what to change.

Read here by hand rather than by a model class: this runs for each of thousands of submits a second. The
limits and patterns here are those of `schemas.TaskIn`, and a test holds both to the same answers.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from agentfleet_core.errors import InvalidRequest
from agentfleet_core.suggest import choices

MAX_BODY_BYTES = 1_048_576
MAX_BATCH_BODY_BYTES = 16_777_216
MAX_BATCH = 1_000
MAX_PRIORITY = 100
MAX_LABELS = 16
MAX_KEY_CHARS = 255
MAX_EXPIRES_SECONDS = 2_592_000
MAX_EXACT_INTEGER = 2**64 - 1
MAX_DEPTH = 64
"""Levels of objects and lists in one task, its own counted: far below what JSON libraries can write."""

NAME = "[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
LABEL_KEY = "[A-Za-z0-9](?:[-_./A-Za-z0-9]{0,61}[A-Za-z0-9])?"
LABEL_VALUE = "(?:[A-Za-z0-9](?:[-_.:/@A-Za-z0-9]{0,61}[A-Za-z0-9])?)?"
KEY_PATTERN = f"[!-~]{{1,{MAX_KEY_CHARS}}}"

_NAME = re.compile(NAME)
_LABEL_KEY = re.compile(LABEL_KEY)
_LABEL_VALUE = re.compile(LABEL_VALUE)
_KEY = re.compile(KEY_PATTERN)
_LONG_INTEGER = re.compile(rb"[0-9]{19}")
_STRING_OR_NUMBER = re.compile(rb'"(?:[^"\\]++|\\.)*+"|-?([0-9]+)([.eE][-+.eE0-9]*+)?')
FIELDS = frozenset(
    {
        "type",
        "input",
        "pool",
        "tier",
        "priority",
        "labels",
        "mode",
        "expires_after_seconds",
        "idempotency_key",
    }
)


class MalformedJson(InvalidRequest):
    """The body is no JSON at all, or JSON that cannot be carried without changing it."""


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    type: str
    input: Mapping[str, Any]
    pool: str | None = None
    tier: str | None = None
    priority: int | None = None
    labels: Mapping[str, str] | None = None
    reject: bool = False
    """`mode`: refuse at once when the budget is spent, instead of waiting for it."""
    expires_after_seconds: int | None = None
    idempotency_key: str | None = None


def parse_json(body: bytes, what: str = "the body") -> Any:
    """Strict: no NaN, no Infinity, no lone surrogate, no number that would silently become another."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(f"{what} is not JSON: {error}") from error
    if _LONG_INTEGER.search(body):
        _check_integers(body)
    return value


def _check_integers(body: bytes) -> None:
    """orjson reads an integer past 64 bits as a float; rather than round it, say so.

    Of JSON that is known to be valid; read flat, so that its depth does not matter.
    """
    for found in _STRING_OR_NUMBER.finditer(body):
        digits, rest = found.groups()
        if digits is None or rest is not None or len(digits) < 19:
            continue
        text = found.group().decode()
        if len(digits) > 20 or not -(2**63) <= int(text) <= MAX_EXACT_INTEGER:
            raise MalformedJson(f"the integer {text[:24]}… does not fit 64 bits; send it as a string")


def _check_depth(payload: Mapping[str, Any]) -> None:
    """Before anything looks into the fields: from here on, recursion is bounded."""
    if _levels(payload) <= MAX_DEPTH:
        return
    field = next(name for name, value in payload.items() if _levels(value) >= MAX_DEPTH)
    raise InvalidRequest(
        f"the task is nested deeper than {MAX_DEPTH} levels; flatten {shown(field)}, or send it as a string",
        field=field[:MAX_KEY_CHARS],
    )


def _levels(value: Any) -> int:
    """Of objects and lists, counted no further than one past the limit."""
    level, count = [value] if type(value) is dict or type(value) is list else [], 0
    while level and count <= MAX_DEPTH:
        count += 1
        level = [
            inner
            for each in level
            for inner in (each.values() if type(each) is dict else each)
            if type(inner) is dict or type(inner) is list
        ]
    return count


def parse_submit(payload: Any, idempotency_key: str | None = None) -> SubmitRequest:
    """One task of a submit. Raises `InvalidRequest` naming the field."""
    if isinstance(payload, MalformedJson):
        raise payload
    if type(payload) is not dict:
        raise InvalidRequest("a task is a JSON object with at least type and input")
    _check_depth(payload)
    if not payload.keys() <= FIELDS:
        unknown = sorted(payload.keys() - FIELDS)[0]
        raise InvalidRequest(f"{shown(unknown)} is no field of a task; there are {', '.join(sorted(FIELDS))}",
                             field=unknown[:MAX_KEY_CHARS])  # fmt: skip
    body_key = payload.get("idempotency_key")
    if body_key is not None and idempotency_key is not None and body_key != idempotency_key:
        raise InvalidRequest(
            "the header Idempotency-Key and the field differ; send one", field="idempotency_key"
        )
    return SubmitRequest(
        type=_name(payload, "type", required=True) or "",
        input=_input(payload),
        pool=_name(payload, "pool"),
        tier=_name(payload, "tier"),
        priority=_integer(payload, "priority", 0, MAX_PRIORITY),
        labels=_labels(payload.get("labels")),
        reject=_reject(payload.get("mode")),
        expires_after_seconds=_integer(payload, "expires_after_seconds", 1, MAX_EXPIRES_SECONDS),
        idempotency_key=parse_key(idempotency_key if idempotency_key is not None else body_key),
    )


def parse_batch(payload: Any) -> list[Any]:
    """The items, unread: each is parsed alone, so that one bad item refuses only itself."""
    tasks = payload.get("tasks") if type(payload) is dict else None
    if type(tasks) is not list:
        raise InvalidRequest('a batch is {"tasks": […]}', field="tasks")
    if not 1 <= len(tasks) <= MAX_BATCH:
        raise InvalidRequest(
            f"a batch holds 1 to {MAX_BATCH:,} tasks, this one {len(tasks):,}", field="tasks"
        )
    return tasks


def parse_key(key: Any) -> str | None:
    if key is None:
        return None
    if type(key) is not str or not _KEY.fullmatch(key):
        raise InvalidRequest(
            f"an idempotency key is 1 to {MAX_KEY_CHARS} visible ASCII characters", field="idempotency_key"
        )
    return key


def parse_target(payload: Any) -> tuple[str, bool]:
    """What to pause, and whether it need not exist."""
    target = payload.get("target") if type(payload) is dict else None
    if type(target) is not str or not 1 <= len(target) <= MAX_KEY_CHARS or not target.isprintable():
        raise InvalidRequest(
            'send {"target": "fleet" | "pool/NAME" | "tenant/NAME" | "task-type/NAME"}', field="target"
        )
    allow_missing = payload.get("allow_missing", False)
    if type(allow_missing) is not bool:
        message = f"allow_missing is {shown(allow_missing)}; it must be true or false"
        raise InvalidRequest(message, field="allow_missing")
    return target, allow_missing


def shown(value: Any) -> str:
    """A value inside an error's sentence, short and safe to print."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _name(payload: Mapping[str, Any], field: str, *, required: bool = False) -> str | None:
    value = payload.get(field)
    if value is None and not required:
        return None
    if type(value) is not str or not _NAME.fullmatch(value):
        what = "is missing" if field not in payload else f"is {shown(value)}"
        raise InvalidRequest(f"{field} {what}; it must be a name such as refund-request", field=field)
    return value


def _input(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    value = payload.get("input", {})
    if type(value) is not dict:
        raise InvalidRequest(f"input is {shown(value)}; it must be a JSON object", field="input")
    return value


def _integer(payload: Mapping[str, Any], field: str, least: int, most: int) -> int | None:
    value = payload.get(field)
    if value is None:
        return None
    if type(value) is not int or not least <= value <= most:
        message = f"{field} is {shown(value)}; it must be an integer from {least} to {most}"
        raise InvalidRequest(message, field=field)
    return value


def _reject(mode: Any) -> bool:
    if mode not in (None, "defer", "reject"):
        raise InvalidRequest(f"mode is {shown(mode)}; it must be defer or reject", field="mode")
    return bool(mode == "reject")


def _labels(labels: Any) -> Mapping[str, str] | None:
    if labels is None:
        return None
    if type(labels) is not dict or len(labels) > MAX_LABELS:
        raise InvalidRequest(f"labels is an object of at most {MAX_LABELS} strings", field="labels")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            raise InvalidRequest(
                f"the label key {shown(key)} must be 1 to 63 letters, digits, '-', '_', '.' or '/'",
                field="labels",
            )
        if type(value) is not str or not _LABEL_VALUE.fullmatch(value):
            raise InvalidRequest(
                f"label {key} is {shown(value)}; it must be at most 63 letters, digits and - _ . : / @",
                field=f"labels.{key}",
            )
    return labels


def read_labels(texts: Iterable[str]) -> Mapping[str, str] | None:
    """`label=a=b,c=d`, also repeated."""
    labels = {}
    for part in ",".join(texts).split(","):
        key, sign, value = part.partition("=")
        if part and not (sign and key):
            raise InvalidRequest(f"label is {shown(part)}; write key=value", field="label")
        if part:
            labels[key] = value
    return labels or None


def only_known(given: Iterable[str], known: Sequence[str]) -> None:
    """Raises `InvalidRequest` for a query parameter that would be ignored."""
    for name in given:
        if name not in known:
            message = f"there is no parameter {shown(name)}; {choices(name, known)}"
            raise InvalidRequest(message, field=name[:64])


def read_number(name: str, text: str | None, least: float, most: float, default: float) -> float:
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:  # NaN is in no range
        raise InvalidRequest(
            f"{name} is {shown(text)}; it must be a number from {least} to {most}", field=name
        )
    return number
