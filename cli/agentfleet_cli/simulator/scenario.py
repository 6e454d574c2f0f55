"""Scripts: what a model answers, as a test or a demo says it. Found in the prompt or in a scenario file."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from string import Template
from typing import Any, Final

import yaml

from agentfleet_cli.simulator.behaviour import FAULTS
from agentfleet_cli.simulator.errors import ApiError

MARKER: Final = "sim:{"


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that the model makes."""

    tool: str
    input: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """One model response. `text` None and no calls: made up from the seed."""

    text: str | None = None
    calls: tuple[Call, ...] = ()
    thinking: int | None = None
    tokens: int | None = None
    stop: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    turns: tuple[Turn, ...] = ()
    seconds: float | None = None
    first_token_seconds: float | None = None
    events: int | None = None
    fail: tuple[str, ...] = ()
    retry_after: float | None = None
    mark: str = ""

    def turn(self, number: int) -> Turn | None:
        return self.turns[min(number, len(self.turns) - 1)] if self.turns else None


NO_SCRIPT: Final = Script()
_SCRIPT_FIELDS: Final = {item.name for item in fields(Script)} | {
    "text", "tool", "tools", "input", "thinking", "tokens", "stop",
}  # fmt: skip
_TURN_FIELDS: Final = {"text", "tool", "tools", "input", "thinking", "tokens", "stop"}


@dataclass(frozen=True, slots=True)
class Scene:
    """A script and the requests it speaks for; None matches all."""

    script: Mapping[str, Any]
    system: re.Pattern[str] | None = None
    prompt: re.Pattern[str] | None = None
    model: re.Pattern[str] | None = None
    tool: str | None = None

    def match(self, system: str, prompt: str, model: str, tools: Sequence[str]) -> dict[str, str] | None:
        """The named groups when it matches, else None."""
        if self.tool is not None and self.tool not in tools:
            return None
        groups: dict[str, str] = {}
        for pattern, text in ((self.system, system), (self.prompt, prompt), (self.model, model)):
            if pattern is None:
                continue
            found = pattern.search(text)
            if found is None:
                return None
            groups |= {name: value for name, value in found.groupdict().items() if value is not None}
        return groups


def load_scenes(path: Path) -> tuple[Scene, ...]:
    """Raises ValueError that names the scene and what is wrong with it."""
    document = yaml.safe_load(path.read_text())
    if not isinstance(document, dict) or not isinstance(document.get("scenes"), list):
        raise ValueError(f"{path}: a scenario file is a mapping with a list `scenes`")
    scenes: list[Scene] = []
    for number, item in enumerate(document["scenes"]):
        try:
            when = {str(key): value for key, value in (item.get("when") or {}).items()}
            unknown = set(when) - {"system", "prompt", "model", "tool"}
            if unknown:
                raise ValueError(f"`when` has no {sorted(unknown)[0]}")
            parse_script(item["script"])
            patterns = {key: re.compile(value, re.DOTALL) for key, value in when.items() if key != "tool"}
            scenes.append(Scene(item["script"], tool=when.get("tool"), **patterns))
        except (KeyError, ValueError, TypeError, re.error, ApiError) as error:
            raise ValueError(f"{path}: scenes[{number}]: {error}") from error
    return tuple(scenes)


def find_script(
    scenes: Sequence[Scene], *, system: str, prompt: str, model: str, tools: Sequence[str], tool_result: str
) -> Script:
    """The script in the prompt, else that of the first scene that matches, else none."""
    for text in (prompt, system):
        start = text.find(MARKER)
        if start >= 0:
            try:
                raw, _ = json.JSONDecoder().raw_decode(text, start + len(MARKER) - 1)
            except ValueError as error:
                raise ApiError(400, f"sim: the script is not JSON: {error}") from error
            return parse_script(raw)
    for scene in scenes:
        groups = scene.match(system, prompt, model, tools)
        if groups is not None:
            return parse_script(_fill(scene.script, {**groups, "tool_result": tool_result}))
    return NO_SCRIPT


def parse_script(raw: object) -> Script:
    """Raises ApiError 400 that names the field."""
    if not isinstance(raw, Mapping):
        raise ApiError(400, "sim: a script is an object")
    _known(raw, _SCRIPT_FIELDS)
    turns = tuple(_turn(item) for item in _list(raw, "turns"))
    if not turns and _TURN_FIELDS & set(raw):
        turns = (_turn({key: value for key, value in raw.items() if key in _TURN_FIELDS}),)
    fail = tuple(str(fault) for fault in _list(raw, "fail"))
    for fault in fail:
        if fault not in FAULTS:
            raise ApiError(400, f"sim: no fault is called {fault}; there are {', '.join(sorted(FAULTS))}")
    events = _number(raw, "events")
    return Script(
        turns=turns,
        seconds=_number(raw, "seconds"),
        first_token_seconds=_number(raw, "first_token_seconds"),
        events=None if events is None else int(events),
        fail=fail,
        retry_after=_number(raw, "retry_after"),
        mark=str(raw.get("mark", "")),
    )


def _turn(raw: object) -> Turn:
    if not isinstance(raw, Mapping):
        raise ApiError(400, "sim: a turn is an object")
    _known(raw, _TURN_FIELDS)
    calls = _list(raw, "tools")
    if "tool" in raw:
        calls.insert(0, {"tool": raw["tool"], "input": raw.get("input", {})})
    text = raw.get("text")
    if text is not None and not isinstance(text, str):
        text = json.dumps(text, ensure_ascii=False)
    thinking, tokens = _number(raw, "thinking"), _number(raw, "tokens")
    return Turn(
        text=text,
        calls=tuple(_call(call) for call in calls),
        thinking=None if thinking is None else int(thinking),
        tokens=None if tokens is None else int(tokens),
        stop=raw.get("stop"),
    )


def _call(raw: object) -> Call:
    if not isinstance(raw, Mapping) or "tool" not in raw or not isinstance(raw.get("input", {}), Mapping):
        raise ApiError(400, "sim: a tool call is an object with a tool and an input object")
    return Call(str(raw["tool"]), raw.get("input", {}))


def _list(raw: Mapping[str, Any], name: str) -> list[Any]:
    found = raw.get(name, [])
    if not isinstance(found, list):
        raise ApiError(400, f"sim: {name} is a list")
    return [*found]


def _number(raw: Mapping[str, Any], name: str) -> float | None:
    found = raw.get(name)
    if found is not None and (isinstance(found, bool) or not isinstance(found, int | float) or found < 0):
        raise ApiError(400, f"sim: {name} is a number, 0 or more")
    return found


def _known(raw: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(raw) - known)
    if unknown:
        raise ApiError(400, f"sim: a script has no {unknown[0]}; it has {', '.join(sorted(known))}")


def _fill(value: Any, groups: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return Template(value).safe_substitute(groups)
    if isinstance(value, Mapping):
        return {key: _fill(item, groups) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, groups) for item in value]
    return value
