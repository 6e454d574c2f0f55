"""PURE. The rules of a structural schema, evaluated as the API server does, from the very text that it
evaluates.

Where CEL itself ends, Kubernetes adds functions; the ones that our rules use are here.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.celparser import CELParseError
from celpy.evaluation import CELEvalError

from agentfleet_core.api.structural import Problem, ProblemKind, join

Schema = Mapping[str, Any]


class UnsupportedRuleError(Exception):
    """A rule uses what this evaluator does not have: add the function here, or write the rule in other
    words.
    """


def rule_problems(schema: Schema, value: Any, old: Any, path: str) -> Iterator[Problem]:
    """What the rules say of `value`, which has its defaults; rules of updates need an `old` one to count."""
    if isinstance(value, Mapping):
        for rule in schema.get("x-kubernetes-validations", ()):
            if "oldSelf" in rule["rule"] and old is None:
                continue
            names = {"self": value} if old is None else {"self": value, "oldSelf": old}
            if not _evaluate(rule["rule"], names):
                where = join(path, rule["fieldPath"].removeprefix("."))
                yield Problem(where, _message(rule, names), ProblemKind.RULE)
        for name, child in value.items():
            known = schema.get("properties", {}).get(name)
            if known is not None:
                before = old.get(name) if isinstance(old, Mapping) else None
                yield from rule_problems(known, child, before, join(path, name))
    elif isinstance(value, list):
        # What an entry was before is not known: entries of our lists have no rules of updates.
        for index, child in enumerate(value):
            yield from rule_problems(schema.get("items", {}), child, None, f"{path}[{index}]")


def _message(rule: Mapping[str, str], names: Mapping[str, Any]) -> str:
    expression = rule.get("messageExpression")
    return str(_evaluate(expression, names)) if expression else rule["message"]


def _evaluate(text: str, names: Mapping[str, Any]) -> Any:
    try:
        return _program(text).evaluate({name: json_to_cel(value) for name, value in names.items()})
    except CELEvalError as error:
        raise UnsupportedRuleError(f"{text}: {error}") from error


@cache
def _program(text: str) -> celpy.Runner:
    environment = celpy.Environment()
    try:
        return environment.program(environment.compile(text), functions=FUNCTIONS)
    except CELParseError as error:
        raise UnsupportedRuleError(f"{text}: {error}") from error


def _format(template: celtypes.StringType, values: celtypes.ListType) -> celtypes.StringType:
    """%s and %d; each takes the next value."""
    parts = str(template).replace("%d", "%s").split("%s")
    texts = [str(int(one)) if isinstance(one, celtypes.IntType) else str(one) for one in values]
    return celtypes.StringType("".join(a + b for a, b in zip(parts, [*texts, ""], strict=True)))


def _is_sorted(values: celtypes.ListType) -> celtypes.BoolType:
    """Of whole numbers: nothing else is sorted by our rules."""
    numbers = [int(cast("celtypes.IntType", one)) for one in values]
    return celtypes.BoolType(numbers == sorted(numbers))


FUNCTIONS: dict[str, Any] = {"format": _format, "isSorted": _is_sorted}
