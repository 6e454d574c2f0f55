"""The chart's values.schema.json and the values table in its README, from the comments in values.yaml.

`python tools/chart_docs.py charts/agentfleet crds`. A comment `# -- text` describes the value below it, lines
after it go on; `# @schema {…}` adds to its schema. A value without a description is an error: what cannot be
explained should not be a value. The CustomResourceDefinitions are copied beside, since a chart can only read
its own folder.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][A-Za-z0-9]*):")
BEGIN, END = "<!-- values: generated, do not edit -->", "<!-- end of values -->"
TYPES: Mapping[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}


@dataclass(frozen=True)
class Value:
    path: tuple[str, ...]
    default: Any
    text: str
    extra: Mapping[str, Any]


def values_of(source: str) -> Iterator[Value]:
    """Described values, in the file's order. Raises `ValueError` for one that is not described."""
    tree = yaml.safe_load(source)
    path: list[str] = []
    text: list[str] = []
    extra: dict[str, Any] = {}
    described: tuple[str, ...] | None = None
    for line in source.splitlines():
        comment = line.strip()
        if comment.startswith("# -- "):
            text = [comment.removeprefix("# -- ")]
        elif comment.startswith("# @schema "):
            extra = json.loads(comment.removeprefix("# @schema "))
        elif comment.startswith("#") and text:
            text.append(comment.removeprefix("#").strip())
        match = KEY.match(line)
        if match is None:
            continue
        path = [*path[: len(match["indent"]) // 2], match["key"]]
        if described is not None and tuple(path[: len(described)]) == described:
            continue
        default = _at(tree, path)
        if text:
            described = tuple(path)
            yield Value(described, default, " ".join(text), extra)
        elif not isinstance(default, dict):
            raise ValueError(f"{'.'.join(path)} has no `# --` comment that describes it")
        else:
            described = None
        text, extra = [], {}


def _at(tree: Any, path: list[str]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def schema_of(values: list[Value]) -> dict[str, Any]:
    root: dict[str, Any] = {"$schema": "https://json-schema.org/draft-07/schema#"} | _closed()
    for value in values:
        place = root
        for key in value.path[:-1]:
            place = place["properties"].setdefault(key, _closed())
        kind = "object" if isinstance(value.default, dict) else TYPES[type(value.default)]
        kind = "number" if value.extra.get("minimum", 1) != int(value.extra.get("minimum", 1)) else kind
        place["properties"][value.path[-1]] = {"type": kind, "description": value.text, **value.extra}
    root["properties"]["global"] = {"type": "object", "description": "Helm's own; not used."}
    return root


def _closed() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def table_of(values: list[Value]) -> str:
    rows = [
        f"| `{'.'.join(one.path)}` | `{json.dumps(one.default)}` | {one.text.replace('|', chr(92) + '|')} |"
        for one in values
    ]
    return "\n".join(["| value | default | what it is |", "|---|---|---|", *rows])


def main(chart: Path, crds: Path) -> None:
    values = list(values_of((chart / "values.yaml").read_text()))
    (chart / "values.schema.json").write_text(json.dumps(schema_of(values), indent=2) + "\n")
    readme = chart / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n\n{table_of(values)}\n\n{END}{rest.split(END)[1]}")
    copies = chart / "files" / "crds"
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir(parents=True)
    for crd in sorted(crds.glob("*.yaml")):
        shutil.copyfile(crd, copies / crd.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
