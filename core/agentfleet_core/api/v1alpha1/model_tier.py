"""ModelTier: the models that serve a class of work, their prices, and where to reach them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from agentfleet_core.api.declare import Column, Names, Rule
from agentfleet_core.api.v1alpha1.base import (
    ACCEPTED,
    AGE,
    API_VERSION,
    Conditions,
    Kind,
    ObjectMeta,
    ObjectStatus,
    Resource,
    SecretKeyRef,
    Usd,
)


class Provider(Resource):
    """Who serves the models, and with which key."""

    type: Literal["Anthropic"] = "Anthropic"
    """The API that is spoken."""
    base_url: str | None = Field(None, max_length=2_048, pattern=r"^https?://")
    """Another address of the same API: a gateway, or the simulator."""
    api_key_secret_ref: SecretKeyRef | None = None
    """The key; left out only with a gateway that needs none."""


class PriceBand(Resource):
    """USD per million tokens; the first band that the whole prompt fits prices every token of the call."""

    max_prompt_tokens: int | None = Field(None, ge=1, le=100_000_000)
    """Input, cache reads and cache writes together, at most; none: no bound."""
    input: Usd
    """Of what the prompt cache did not serve."""
    output: Usd
    """Thinking included."""
    cache_read: Usd
    """Served from the prompt cache."""
    cache_write_5m: Usd = Field(alias="cacheWrite5m")
    """Written to the prompt cache for 5 minutes."""
    cache_write_1h: Usd = Field(alias="cacheWrite1h")
    """Written to the prompt cache for an hour."""


Factor = Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,6})?$", max_length=10)]
"""A decimal factor."""


class Multipliers(Resource):
    """What other than the standard service costs, as a factor on each token's price; left out: refused."""

    batch: Factor | None = None
    """Usage that the provider marks as service tier `batch`."""
    priority: Factor | None = None
    """Usage that the provider marks as service tier `priority`."""
    fast: Factor | None = None
    """Requests with speed `fast`."""
    inference_geo_us: Factor | None = None
    """Inference kept in the US; also counted in each hold, since a workspace can have it as its default."""


BOUNDED = "self.bands.filter(b, has(b.maxPromptTokens))"
"""CEL: the bands that have a bound."""


class Price(Resource):
    """What a model costs from one day on."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.bands[size(self.bands) - 1].maxPromptTokens)",
            field=".bands",
            message="the last band must have no maxPromptTokens, so that every prompt has a price",
        ),
        Rule(
            "self.bands.filter(b, !has(b.maxPromptTokens)).size() <= 1",
            field=".bands",
            message="only the last band may have no maxPromptTokens; give the others one",
        ),
        Rule(
            f"{BOUNDED}.map(b, b.maxPromptTokens).isSorted() && "
            f"{BOUNDED}.all(b, {BOUNDED}.exists_one(c, c.maxPromptTokens == b.maxPromptTokens))",
            field=".bands",
            message="bands must ascend by maxPromptTokens; sort them",
        ),
    )

    effective_from: str = Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", max_length=10, json_schema_extra={"format": "date"}
    )
    """The first day, UTC, on which this price holds."""
    bands: list[PriceBand] = Field(min_length=1, max_length=8)
    """In order of maxPromptTokens; the last has none."""
    multipliers: Multipliers = Field(default_factory=Multipliers)
    """Of other than the standard service."""
    web_searches_per_thousand: Usd | None = None
    """USD per thousand searches of the provider's web search tool; left out: requests with it are refused."""


class ServerTools(Resource):
    """Bounds of one call whose tools run at the provider, all their rounds together."""

    max_prompt_tokens: int = Field(ge=1, le=100_000_000)
    """Input of all rounds."""
    max_output_tokens: int = Field(ge=1, le=10_000_000)
    """Output of all rounds."""
    max_web_searches: int = Field(0, ge=0, le=1_000)
    """Searches of all rounds."""


class Model(Resource):
    """A model and what it costs."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.prices.all(x, self.prices.exists_one(y, y.effectiveFrom == x.effectiveFrom))",
            field=".prices",
            message="two prices begin on the same day; keep one of them",
        ),
    )

    name: str = Field(min_length=1, max_length=128)
    """The model's id at the provider."""
    prices: list[Price] = Field(min_length=1, max_length=32)
    """The newest whose day has come holds."""
    max_media_tokens: int | None = Field(None, ge=1, le=10_000_000)
    """Tokens of one image, document or cited source at most; left out: requests with them are refused."""
    server_tools: ServerTools | None = None
    """Left out: requests with tools that run at the provider are refused, since nothing bounds their cost."""


class ModelTierSpec(Resource):
    """A rung of the ladder that routing goes up and down."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.models.all(x, self.models.exists_one(y, y.name == x.name))",
            field=".models",
            message="model names must be unique in a tier",
            message_expression="'model %s stands twice; keep one of them'"
            ".format([self.models.filter(x, !self.models.exists_one(y, y.name == x.name))[0].name])",
        ),
    )

    rank: int = Field(ge=1, le=100)
    """Lower is cheaper."""
    provider: Provider = Field(default_factory=Provider)
    """Where its models are reached."""
    models: list[Model] = Field(min_length=1, max_length=8)
    """The first is used; the rest are fallbacks, in order."""


class ModelTierStatus(ObjectStatus):
    """Whether the tier can serve as it stands."""

    conditions: Conditions = Field(default_factory=list)


class ModelTier(Kind):
    """Models that serve a class of work, their prices, and where they are reached."""

    NAMES: ClassVar[Names] = Names(
        plural="modeltiers",
        singular="modeltier",
        short="mt",
        columns=(
            Column("Rank", "integer", ".spec.rank", "Lower is cheaper."),
            Column("Model", "string", ".spec.models[0].name", "The model that is used first."),
            Column("Provider", "string", ".spec.provider.type", "Who serves it."),
            *ACCEPTED,
            AGE,
        ),
    )

    api_version: Literal["agentfleet.dev/v1alpha1"] = API_VERSION
    kind: Literal["ModelTier"] = "ModelTier"
    metadata: ObjectMeta
    spec: ModelTierSpec
    status: ModelTierStatus = Field(default_factory=ModelTierStatus)
