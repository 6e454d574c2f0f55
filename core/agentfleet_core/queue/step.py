"""PURE. What the journal says of one step: a model response, a tool result, or a handler's `ctx.step`.

A step's record is written before the next step starts and is read by every later attempt, by the coordinator
(a result's steps) and by people. Fields may be added, never renamed: journals outlive releases.
"""

import contextlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import orjson

from agentfleet_core.checked import dataclass
from agentfleet_core.errors import InvalidInput


class StepKind(StrEnum):
    LLM = "llm"
    """A model's response; `result` is the message as the provider gave it, without its usage."""
    TOOL = "tool"
    """A tool's result; `result` is {"content", "is_error"} as the model sees it."""
    STEP = "step"
    """A handler's `ctx.step` or a workflow's step; `result` is what the function returned."""
    CUT = "cut"
    """A call that was paid for and gave nothing: cut before its end, charged at its worst case; no result."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    kind: StepKind
    name: str
    result: Any
    """Anything that JSON can say."""
    started_ms: int
    ended_ms: int
    cost: int = 0
    """Nano-USD."""
    tier: str = ""
    model: str = ""
    usage: Mapping[str, Any] | None = None
    instead_of: str = ""
    """The model that the tier prefers, where a fallback answered for it."""
    rerouted: str = ""
    """Why it went to another tier than the one asked for, a word of `RouteReason`."""

    @property
    def failure(self) -> str:
        """What a tool that failed, or was called wrongly, told the model; empty for every other step."""
        if self.kind is not StepKind.TOOL or not isinstance(self.result, Mapping):
            return ""
        if not self.result.get("is_error"):
            return ""
        return str(self.result.get("content", "")).removeprefix(f"{self.name} failed: ")

    @property
    def limitation(self) -> str:
        """What the task's result says of it; empty for a step that is what was asked for."""
        said = []
        if self.rerouted:
            said.append(f"by tier {self.tier}, not by the one asked for: {self.rerouted}")
        if self.instead_of:
            said.append(f"by {self.model}, since {self.instead_of} was not to be had")
        return f"Step {self.name} was answered {'; '.join(said)}." if said else ""

    def encode(self) -> bytes:
        """JSON. Raises `InvalidInput` when the result is nothing that JSON can say."""
        record: dict[str, Any] = {
            "kind": self.kind,
            "name": self.name,
            "result": self.result,
            "started_ms": self.started_ms,
            "ended_ms": self.ended_ms,
        }
        if self.cost:
            record["cost_nano_usd"] = self.cost
        if self.tier:
            record["tier"] = self.tier
        if self.model:
            record["model"] = self.model
        if self.usage is not None:
            record["usage"] = self.usage
        if self.instead_of:
            record["instead_of"] = self.instead_of
        if self.rerouted:
            record["rerouted"] = self.rerouted
        return encode_json(record)


def decode_step(value: bytes) -> StepRecord:
    """Raises `InvalidInput` for what is no step record."""
    try:
        record = orjson.loads(value)
        return StepRecord(
            kind=StepKind(record["kind"]),
            name=record["name"],
            result=record["result"],
            started_ms=record["started_ms"],
            ended_ms=record["ended_ms"],
            cost=record.get("cost_nano_usd", 0),
            tier=record.get("tier", ""),
            model=record.get("model", ""),
            usage=record.get("usage"),
            instead_of=record.get("instead_of", ""),
            rerouted=record.get("rerouted", ""),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"not a step record: {value[:80]!r}") from error


def decode_steps(journal: Mapping[str, bytes]) -> dict[str, StepRecord]:
    """By their keys, without what is no step: facts that a journal also holds, or a later release's kind."""
    found = {}
    for key, value in journal.items():
        with contextlib.suppress(InvalidInput):
            found[key] = decode_step(value)
    return found


def encode_json(value: Any) -> bytes:
    """What JSON, a dataclass, a pydantic model, a date, a UUID or an enum can say. Raises `InvalidInput`."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{type(value).__name__} cannot be written as JSON: {error}") from error


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    raise TypeError(f"a {type(value).__name__} inside")
