"""What the four kinds have in common: camelCase on the wire, frozen, no unknown fields."""

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

from agentfleet_core.api.declare import Column, Names, Rule

GROUP = "agentfleet.dev"
VERSION = "v1alpha1"
API_VERSION: Final = "agentfleet.dev/v1alpha1"

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
USD = r"^(([0-9]{1,6}|[0-8][0-9]{6})(\.[0-9]{1,9})?|9000000(\.0{1,9})?)$"
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$"

PATTERN_WORDS: dict[str, str] = {
    DNS_LABEL: "lower-case letters, digits and -, such as refund-request",
    USD: 'an amount of USD such as "2.50", at most 9000000, without sign or exponent',
    QUANTITY: "a Kubernetes quantity such as 250m or 256Mi",
    r"^https?://": "an address that begins with http:// or https://",
}
"""What a pattern means, for the end of `must be …`."""

DnsLabel = Annotated[str, Field(pattern=DNS_LABEL, min_length=1, max_length=63)]
"""A name usable as a label, a host and a part of a Redis key."""

Usd = Annotated[str, Field(pattern=USD, max_length=17)]
"""A decimal string in USD, at most 9,000,000: integers in Lua are exact to 2^53 nano-USD."""


class Resource(BaseModel):
    """The base of every part of a manifest."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()
    """What the fields' types alone cannot say of this model."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The model's JSON Schema with its rules inside, so that they go wherever the model is used."""
        made = handler(schema)
        if cls.RULES:
            handler.resolve_ref_schema(made)["x-rules"] = [*cls.RULES]
        return made


class Kind(Resource):
    """The base of a whole object."""

    NAMES: ClassVar[Names]


class Status(Resource):
    """What an operator observed; fields that a newer one added are ignored."""

    model_config = ConfigDict(extra="ignore")


class ObjectStatus(Status):
    """The status of a whole object. Its `conditions` come last, after the kind's own fields."""

    observed_generation: int = Field(0, ge=0)
    """The generation of the spec that this speaks about."""


class SecretKeyRef(Resource):
    """One key of a Secret in the same namespace."""

    name: DnsLabel
    """The Secret's name."""
    key: str = Field("api-key", min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")
    """The key inside the Secret."""


AGE = Column("Age", "date", ".metadata.creationTimestamp", "When the object was made.")
ACCEPTED = (
    Column(
        "Accepted",
        "string",
        '.status.conditions[?(@.type=="Accepted")].status',
        "Whether it can be used as it stands.",
    ),
    Column(
        "Reason", "string", '.status.conditions[?(@.type=="Accepted")].reason', "Why it is accepted or not."
    ),
)


def _as_text(value: object) -> object:
    """A quantity may be written as a number, as everywhere in Kubernetes."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# The pattern before the conversion: behind it pydantic leaves it out of the JSON Schema.
Quantity = Annotated[
    str,
    Field(pattern=QUANTITY, json_schema_extra={"x-kubernetes-int-or-string": True, "minimum": 0}),
    BeforeValidator(_as_text),
]
"""A Kubernetes resource quantity, such as 250m or 256Mi."""


class ObjectMeta(Resource):
    """The metadata that agentfleet reads; whatever else Kubernetes puts there is ignored."""

    model_config = ConfigDict(extra="ignore")

    name: DnsLabel
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    resource_version: str = ""


ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Resource):
    """One observation, in the standard form of Kubernetes; types and reasons are in api/conditions.py."""

    type: str = Field(min_length=1, max_length=316)
    status: ConditionStatus
    reason: str = Field(min_length=1, max_length=1_024)
    """A word, for programs."""
    message: str = Field("", max_length=32_768)
    """A sentence, for people."""
    observed_generation: int = Field(0, ge=0)
    """The `metadata.generation` that was looked at."""
    last_transition_time: str = Field(json_schema_extra={"format": "date-time"})
    """When the status last changed."""


Conditions = Annotated[
    list[Condition],
    Field(
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]
"""One of each type."""
