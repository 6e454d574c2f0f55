"""PURE. What a call costs, and the most that it can cost, in nano-USD.

Sources: the fields and their meaning are those of `anthropic.types.Usage` and `MessageCreateParams`; bands,
cache prices and multipliers are the ModelTier's, none is built in. Whatever no price covers raises
`CostUnknown`: never free. Every result is exact, and rounded up to a nano-dollar once, at the end.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from agentfleet_core.api.v1alpha1.model_tier import (
    Model,
    ModelTierSpec,
    Multipliers,
    Price,
    PriceBand,
    ServerTools,
)
from agentfleet_core.budget.money import nano_usd
from agentfleet_core.budget.usage import Report, Usage
from agentfleet_core.errors import CostUnknown

_PER_MILLION = 1_000_000
_PER_THOUSAND = 1_000
Exact = Fraction | int
"""No float: whole where it can be, since that is cheaper."""
_GLOBAL_GEOS = ("", "global", "not_available")


@dataclass(frozen=True, slots=True)
class Band:
    """Nano-USD per million tokens, for prompts of at most `up_to` tokens (None: any longer one)."""

    up_to: int | None
    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int

    @property
    def dearest_prompt(self) -> int:
        return max(self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h)

    def price(self, usage: Usage) -> int:
        """In nano-USD per million tokens times tokens."""
        return (
            usage.input * self.input
            + usage.cache_read * self.cache_read
            + usage.cache_write_5m * self.cache_write_5m
            + usage.cache_write_1h * self.cache_write_1h
            + usage.output * self.output
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """One model's prices on one day, and the bounds that its tier declares."""

    model: str
    bands: tuple[Band, ...]
    multipliers: Multipliers
    web_search: Fraction | None
    """Nano-USD for one search."""
    max_media_tokens: int | None
    server_tools: ServerTools | None


@dataclass(frozen=True, slots=True)
class Demand:
    """The most that a request can use: what its provider reads from its body."""

    prompt_tokens: int
    output_tokens: int
    web_searches: int = 0
    fast: bool = False
    priority: bool = True
    """It may be served as priority: all but `service_tier: standard_only`."""
    geo: str | None = None
    """None: the workspace's default, which may be any."""


def find_model(tier: ModelTierSpec, name: str) -> Model:
    """The tier's model of that name. Raises `CostUnknown`, which names those that it has."""
    for model in tier.models:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in tier.models)
    raise CostUnknown(f'the tier has no price for model "{name}"; it has {known}', field="model")


def price_of(model: Model, now: datetime) -> Price:
    """The newest whose first day (UTC) has come. Raises `CostUnknown` when none has."""
    today = now.astimezone(UTC).date().isoformat()
    begun = [price for price in model.prices if price.effective_from <= today]
    if not begun:
        first = min(price.effective_from for price in model.prices)
        raise CostUnknown(f'model "{model.name}" has no price before {first}', field="model")
    return max(begun, key=lambda each: each.effective_from)


def rates_of(model: Model, now: datetime) -> Rates:
    """Raises `CostUnknown` when none of its prices has begun."""
    price = price_of(model, now)
    searches = price.web_searches_per_thousand
    return Rates(
        model=model.name,
        bands=tuple(_band(band) for band in price.bands),
        multipliers=price.multipliers,
        web_search=None if searches is None else Fraction(nano_usd(searches), _PER_THOUSAND),
        max_media_tokens=model.max_media_tokens,
        server_tools=model.server_tools,
    )


def cost_of(report: Report, rates: Rates) -> int:
    """What the provider bills: each round in its prompt's band, times the multipliers, plus searches."""
    tokens = sum(_band_for(usage.prompt, rates).price(usage) for usage in report.rounds)
    factor = _service_factor(report.service_tier, rates) * _speed_factor(report.speed, rates)
    factor *= _geo_factor(report.inference_geo, rates)
    return _nano(Fraction(tokens, _PER_MILLION) * factor + _searches(report.web_searches, rates))


def worst_case(demand: Demand, rates: Rates) -> int:
    """The most that any usage within `demand` costs, over all bands that its prompt may fall into.

    In each band the prompt is priced at the dearest of input, cache read and cache writes. Multipliers that
    the request does not rule out count at their dearest.
    """
    tokens = max(
        prompt * band.dearest_prompt + demand.output_tokens * band.output
        for band, prompt in _reachable(demand.prompt_tokens, rates.bands)
    )
    factor = _speed_factor("fast" if demand.fast else "standard", rates)
    if demand.priority:
        factor *= max(1, _factor(rates.multipliers.priority) or 1)
    if demand.geo is None:
        factor *= max(1, _factor(rates.multipliers.inference_geo_us) or 1)
    else:
        factor *= _geo_factor(demand.geo, rates)
    return _nano(Fraction(tokens, _PER_MILLION) * factor + _searches(demand.web_searches, rates))


def worst_case_in_rounds(demand: Demand, rates: Rates) -> int:
    """As `worst_case`, for a server-side tool loop: each round may fall into a band of its own."""
    bands = [band for band, _ in _reachable(demand.prompt_tokens, rates.bands)]
    dearest = Band(
        up_to=None,
        input=max(band.dearest_prompt for band in bands),
        output=max(band.output for band in bands),
        cache_read=0,
        cache_write_5m=0,
        cache_write_1h=0,
    )
    one_band = Rates(
        model=rates.model,
        bands=(dearest,),
        multipliers=rates.multipliers,
        web_search=rates.web_search,
        max_media_tokens=rates.max_media_tokens,
        server_tools=rates.server_tools,
    )
    return worst_case(demand, one_band)


def _band(band: PriceBand) -> Band:
    return Band(
        up_to=band.max_prompt_tokens,
        input=nano_usd(band.input),
        output=nano_usd(band.output),
        cache_read=nano_usd(band.cache_read),
        cache_write_5m=nano_usd(band.cache_write_5m),
        cache_write_1h=nano_usd(band.cache_write_1h),
    )


def _band_for(prompt: int, rates: Rates) -> Band:
    for band in rates.bands:
        if band.up_to is None or prompt <= band.up_to:
            return band
    raise CostUnknown(
        f'model "{rates.model}" has no price for a prompt of {prompt} tokens', field="prices.bands"
    )


def _reachable(prompt_tokens: int, bands: Iterable[Band]) -> list[tuple[Band, int]]:
    """Each band that a prompt of at most `prompt_tokens` may fall into, with its longest such prompt."""
    reachable: list[tuple[Band, int]] = []
    longest_before = -1
    for band in bands:
        if longest_before >= prompt_tokens:
            return reachable
        longest = prompt_tokens if band.up_to is None else min(band.up_to, prompt_tokens)
        reachable.append((band, longest))
        longest_before = longest
    if longest_before < prompt_tokens:
        raise CostUnknown(f"no price band holds a prompt of {prompt_tokens} tokens", field="prices.bands")
    return reachable


def _service_factor(service_tier: str, rates: Rates) -> Exact:
    declared = {"batch": rates.multipliers.batch, "priority": rates.multipliers.priority}
    return _declared_factor("standard", service_tier, declared, "service_tier", rates)


def _speed_factor(speed: str, rates: Rates) -> Exact:
    return _declared_factor("standard", speed, {"fast": rates.multipliers.fast}, "speed", rates)


def _geo_factor(geo: str, rates: Rates) -> Exact:
    if geo in _GLOBAL_GEOS:
        return 1
    return _declared_factor("", geo, {"us": rates.multipliers.inference_geo_us}, "inference_geo", rates)


def _declared_factor(
    plain: str, value: str, declared: Mapping[str, str | None], field: str, rates: Rates
) -> Exact:
    if value == plain:
        return 1
    factor = _factor(declared.get(value))
    if factor is None:
        raise CostUnknown(
            f'model "{rates.model}" has no price for {field} "{value}"; declare prices[].multipliers',
            field=field,
        )
    return factor


def _factor(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)


def _searches(count: int, rates: Rates) -> Exact:
    if count == 0:
        return 0
    if rates.web_search is None:
        raise CostUnknown(
            f'model "{rates.model}" has no price for web searches; declare webSearchesPerThousand',
            field="web_searches",
        )
    return count * rates.web_search


def _nano(exact: Fraction) -> int:
    """Rounded up."""
    return -(-exact.numerator // exact.denominator)
