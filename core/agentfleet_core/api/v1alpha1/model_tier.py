"""ModelTier: the models that serve a class of work, their prices, and where to reach them."""

from typing import Annotated, Literal

from pydantic import Field

from agentfleet_core.api.v1alpha1.base import API_VERSION, ObjectMeta, Resource, SecretKeyRef, Usd


class Provider(Resource):
    type: Literal["Anthropic"] = "Anthropic"
    base_url: str | None = Field(None, max_length=2_048, pattern=r"^https?://")
    """Another address of the same API: a gateway, or the simulator."""
    api_key_secret_ref: SecretKeyRef | None = None


class PriceBand(Resource):
    """USD per million tokens; the first band that the whole prompt fits prices every token of the call."""

    max_prompt_tokens: int | None = Field(None, ge=1, le=100_000_000)
    """Input, cache reads and cache writes together, at most; none: no bound."""
    input: Usd
    output: Usd
    cache_read: Usd
    cache_write_5m: Usd = Field(alias="cacheWrite5m")
    cache_write_1h: Usd = Field(alias="cacheWrite1h")


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


class Price(Resource):
    effective_from: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$", max_length=10)
    """The first day, UTC, on which this price holds."""
    bands: list[PriceBand] = Field(min_length=1, max_length=8)
    """In order of maxPromptTokens; the last has none."""
    multipliers: Multipliers = Field(default_factory=Multipliers)
    web_searches_per_thousand: Usd | None = None
    """USD per thousand searches of the provider's web search tool; left out: requests with it are refused."""


class ServerTools(Resource):
    """Bounds of one call whose tools run at the provider, all their rounds together."""

    max_prompt_tokens: int = Field(ge=1, le=100_000_000)
    max_output_tokens: int = Field(ge=1, le=10_000_000)
    max_web_searches: int = Field(0, ge=0, le=1_000)


class Model(Resource):
    name: str = Field(min_length=1, max_length=128)
    """The model's id at the provider."""
    prices: list[Price] = Field(min_length=1, max_length=32)
    """The newest whose day has come holds."""
    max_media_tokens: int | None = Field(None, ge=1, le=10_000_000)
    """Tokens of one image, document or cited source at most; left out: requests with them are refused."""
    server_tools: ServerTools | None = None
    """Left out: requests with tools that run at the provider are refused, since nothing bounds their cost."""


class ModelTierSpec(Resource):
    rank: int = Field(ge=1, le=100)
    """Lower is cheaper."""
    provider: Provider = Field(default_factory=Provider)
    models: list[Model] = Field(min_length=1, max_length=8)
    """The first is used; the rest are fallbacks, in order."""


class ModelTier(Resource):
    api_version: Literal["agentfleet.dev/v1alpha1"] = API_VERSION
    kind: Literal["ModelTier"] = "ModelTier"
    metadata: ObjectMeta
    spec: ModelTierSpec
