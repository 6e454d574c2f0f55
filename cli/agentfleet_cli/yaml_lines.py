"""YAML documents that still know where each of their fields stands.

Values are those that the API server would get: keys are text, a day without quotes is text, and a key that
stands twice is told, not silently the last one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
TIMESTAMP = "tag:yaml.org,2002:timestamp"


class NotYamlError(Exception):
    """Says what stands where something else was expected; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class _Loader(yaml.SafeLoader):
    """Without dates: JSON has none, so the server gets the text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own form
        first: [(tag, pattern) for tag, pattern in resolvers if tag != TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass(frozen=True, slots=True)
class Document:
    """One object in a file, with the lines of its fields."""

    file: Path
    value: dict[str, Any]
    node: yaml.MappingNode
    repeated: tuple[str, ...]
    """Paths of the keys that stand twice in one object."""

    def line_of(self, field: str) -> int:
        """The line of a field such as `spec.limits[0].name`, or of the nearest thing around it that is
        there.
        """
        node: yaml.Node = self.node
        line = _line(node)
        for index, name in STEP.findall(field):
            if name and isinstance(node, yaml.MappingNode):
                found = next(((key, value) for key, value in node.value if str(key.value) == name), None)
                if found is None:
                    break
                line, node = _line(found[0]), found[1]
            elif index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
                node = node.value[int(index)]
                line = _line(node)
            else:
                break
        return line


def read_documents(file: Path) -> Iterator[Document]:
    """The objects in a file, the items of a List one by one. Raises `NotYamlError`."""
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise NotYamlError("is no text in UTF-8", 1) from error
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # noqa: S101 - check_node has seen it
            yield from _documents(file, node, loader.construct_document(node))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(part for part in (error.context, error.problem) if part)
        raise NotYamlError(f"is no YAML: {said}", mark.line + 1 if mark else 1) from error
    except yaml.YAMLError as error:
        raise NotYamlError(f"is no YAML: {error}", 1) from error
    except RecursionError as error:
        raise NotYamlError("is nested too deep, or an alias refers to itself", 1) from error
    finally:
        loader.dispose()


def _documents(file: Path, node: yaml.Node, value: Any) -> Iterator[Document]:
    if value is None:
        return
    if not isinstance(node, yaml.MappingNode) or not isinstance(value, dict):
        raise NotYamlError("is no manifest: an object with apiVersion and kind is expected", _line(node))
    items = next((child for key, child in node.value if key.value == "items"), None)
    if value.get("kind") == "List" and isinstance(items, yaml.SequenceNode):
        for item_node, item in zip(items.value, value["items"], strict=True):
            yield from _documents(file, item_node, item)
        return
    yield Document(file, _as_json(value), node, tuple(_repeated(node, "")))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _as_json(value: Any) -> Any:
    """Keys as text, as JSON has them."""
    if isinstance(value, Mapping):
        return {_key(key): _as_json(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_as_json(child) for child in value]
    return value


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _repeated(node: yaml.Node, path: str) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            where = f"{path}.{key.value}" if path else str(key.value)
            if where in seen and key.tag != "tag:yaml.org,2002:merge":
                yield where
            seen.add(where)
            yield from _repeated(child, where)
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _repeated(child, f"{path}[{index}]")
