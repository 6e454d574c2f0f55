"""ModelTier: the models that serve a class of work, their prices, and where to reach them."""

from typing import Literal

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


class Price(Resource):
    effective_from: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$", max_length=10)
    """The first day, UTC, on which this price holds."""
    bands: list[PriceBand] = Field(min_length=1, max_length=8)
    """In order of maxPromptTokens; the last has none."""


class Model(Resource):
    name: str = Field(min_length=1, max_length=128)
    """The model's id at the provider."""
    prices: list[Price] = Field(min_length=1, max_length=32)
    """The newest whose day has come holds."""


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
