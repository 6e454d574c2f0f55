"""PURE. Whether the cluster's CustomResourceDefinitions know all that this operator reads and writes.

An older definition makes the API server drop what it does not know: a limit in a manifest, a figure in a
status. It is compared by what the API server publishes of its schemas, which every account may read; the
definitions themselves may not be read with the rights of one namespace. A newer definition is well.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from agentfleet_core.api.crdgen import structural_schema
from agentfleet_core.api.v1alpha1 import GROUP, KINDS, VERSION

Schema = Mapping[str, Any]

PUBLISHED = f"/openapi/v3/apis/{GROUP}/{VERSION}"
NAMED = 3
"""Fields that the message names."""
UPGRADE = (
    "upgrade them with `kubectl apply --server-side --force-conflicts -k deploy/crds`, or with the chart "
    "(crds.enabled); the operator starts by itself then"
)


def problem_of(published: Schema) -> str:
    """Why the operator must not work with what the API server publishes; empty when it may.

    `published`: the OpenAPI v3 document of our group and version; empty when there is none.
    """
    served = dict(_schemas(published))
    absent = [kind.NAMES.plural for kind in KINDS if kind.__name__ not in served]
    if absent:
        names = ", ".join(f"{plural}.{GROUP}" for plural in absent)
        return f"the cluster has no CustomResourceDefinitions {names}; {UPGRADE}"
    lacking = [
        f"{kind.__name__}.{field}"
        for kind in KINDS
        for part in ("spec", "status")
        for field in _lacking(
            structural_schema(kind)["properties"][part], served[kind.__name__]["properties"].get(part), part
        )
    ]
    if not lacking:
        return ""
    more = f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else ""
    return (
        "the cluster's CustomResourceDefinitions are older than this operator: they lack "
        f"{', '.join(lacking[:NAMED])}{more}; {UPGRADE}"
    )


def _schemas(published: Schema) -> Iterator[tuple[str, Schema]]:
    for schema in published.get("components", {}).get("schemas", {}).values():
        for named in schema.get("x-kubernetes-group-version-kind", ()):
            if named.get("group") == GROUP and named.get("version") == VERSION and "properties" in schema:
                yield named["kind"], schema


def _lacking(wanted: Schema, served: Schema | None, where: str) -> Iterator[str]:
    """Fields, and values of enums, that `served` does not know; of a field that is missing, it alone."""
    if served is None:
        yield where
        return
    if "enum" in wanted and "enum" in served:
        yield from (f"{where}={value}" for value in wanted["enum"] if value not in served["enum"])
    known = served.get("properties", {})
    for name, inner in wanted.get("properties", {}).items():
        yield from _lacking(inner, known.get(name), f"{where}.{name}")
    for inside in ("items", "additionalProperties"):
        if isinstance(wanted.get(inside), Mapping):
            yield from _lacking(wanted[inside], served.get(inside), f"{where}[]")
