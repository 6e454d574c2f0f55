"""PURE. The words in which a kind declares what its schema alone cannot say.

A rule is written once, in CEL, next to the fields it is about: the API server evaluates it from the
generated CRD, `agentfleet validate` evaluates the very same text.
"""

from dataclasses import dataclass
from typing import Literal

ErrorReason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"]
"""Not FieldValueDuplicate: with it the API server leaves our sentence out."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule of one model. `self` is the model's object; `oldSelf` makes it a rule of updates alone.

    Written without a part that fails and another that forgives it (`!has(x) || all(… x …)` across lists): the
    evaluator behind `validate` computes both. Filter first instead.
    """

    rule: str
    field: str
    """The field blamed, below the model, such as `.minReplicas`; never an element of a list."""
    message: str = ""
    """A sentence that says what to change; also what is said when message_expression fails."""
    message_expression: str = ""
    """CEL that makes the sentence from the values. Numbers by '%d'.format: string(x) exceeds the cost
    limit.
    """
    reason: ErrorReason = "FieldValueInvalid"

    @property
    def on_update(self) -> bool:
        return "oldSelf" in self.rule


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`. A future time is a string: kubectl shows a future date as <invalid>."""

    name: str
    type: Literal["string", "integer", "number", "boolean", "date"]
    path: str
    """A JSONPath such as `.status.waiting`."""
    description: str
    wide: bool = False
    """Shown by `-o wide` only."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The paths of the scale subresource."""

    spec_replicas: str
    status_replicas: str
    selector: str


@dataclass(frozen=True, slots=True)
class Names:
    """How a kind is called, listed and scaled."""

    plural: str
    singular: str
    short: str
    columns: tuple[Column, ...]
    scale: Scale | None = None
