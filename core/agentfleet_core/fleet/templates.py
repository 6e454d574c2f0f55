"""PURE. A prompt's `{{ … }}` places: what they name, and whether they can be filled from the task's input."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from agentfleet_core.errors import InvalidInput
from agentfleet_core.suggest import choices

PLACE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_FIELD = re.compile(r"^\s*input((?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*$")


def path_of(place: re.Match[str]) -> tuple[str, ...]:
    """The fields from the input to what the place names. Raises `InvalidInput` where it names none."""
    match = _FIELD.match(place[1])
    if match is None:
        raise InvalidInput(f"{place[0]} is no field of the input; write {{{{ input.NAME }}}}", field="prompt")
    return tuple(match[1].split(".")[1:])


def template_problems(text: str, input_schema: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each place that names no field of the input, as far as the schema lists its fields."""
    for place in PLACE.finditer(text):
        try:
            path = path_of(place)
        except InvalidInput as error:
            yield str(error)
            continue
        node: object = input_schema
        for name in path:
            fields = node.get("properties") if isinstance(node, Mapping) else None
            if not isinstance(fields, Mapping) or not fields:
                break
            if name not in fields:
                yield f"{place[0]} names no field of inputSchema; {choices(name, fields)}"
                break
            node = fields[name]
