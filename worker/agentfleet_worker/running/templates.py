"""PURE. Fills a prompt's `{{ input.field }}` places from the task's input.

Nothing is evaluated and what was filled in is not looked at again, so an input that holds `{{ … }}` stays
text.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from agentfleet_core.errors import InvalidInput
from agentfleet_core.fleet.templates import PLACE, path_of


def fill(template: str, values: Mapping[str, Any]) -> str:
    """A string field as it is, anything else as JSON. Raises `InvalidInput` naming the place that has no
    value.
    """

    def value_of(place: Any) -> str:
        node: Any = values
        for name in path_of(place):
            if not isinstance(node, Mapping) or name not in node:
                raise InvalidInput(
                    f"the prompt asks for {place[0]}, which the input lacks", field=place[1].strip()
                )
            node = node[name]
        return node if isinstance(node, str) else orjson.dumps(node).decode()

    return PLACE.sub(value_of, template)
