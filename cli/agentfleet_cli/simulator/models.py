"""The models that the simulator knows: speed, and prices in nano-USD per token with its own arithmetic.

USD per million tokens times 1,000 is nano-USD per token, so every price here is a whole number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rates:
    """Nano-USD per token."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int


@dataclass(frozen=True, slots=True)
class Usage:
    """The four kinds of tokens in, and those out (thinking included)."""

    input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int = 0

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    name: str
    rates: Rates
    long_prompt: tuple[int, Rates] | None = None
    """Above so many prompt tokens, these rates price every token of the call."""
    tokens_per_second: float = 80.0
    first_token_seconds: float = 0.5
    always_thinks: bool = False
    current: bool = True
    """Of the present line: refuses `temperature` and an assistant message at the end."""
    max_output_tokens: int = 128_000
    context_tokens: int = 1_000_000

    def rates_for(self, prompt_tokens: int) -> Rates:
        if self.long_prompt is not None and prompt_tokens > self.long_prompt[0]:
            return self.long_prompt[1]
        return self.rates

    def cost(self, usage: Usage, *, batch: bool = False) -> int:
        """Nano-USD; a batch halves input and output and rounds the call up once."""
        rates = self.rates_for(usage.prompt)
        fresh = usage.input * rates.input + usage.output * rates.output
        cached = (
            usage.cache_read * rates.cache_read
            + usage.cache_write_5m * rates.cache_write_5m
            + usage.cache_write_1h * rates.cache_write_1h
        )
        return (fresh + cached + 1) // 2 if batch else fresh + cached


def _table(*models: SimulatedModel) -> Mapping[str, SimulatedModel]:
    return {model.name: model for model in models}


MODELS: Final = _table(
    SimulatedModel(
        "claude-haiku-5-5",
        Rates(100, 500, 10, 125, 200),
        long_prompt=(100_000, Rates(500, 2_500, 50, 625, 1_000)),
        tokens_per_second=160.0,
        first_token_seconds=0.25,
    ),
    SimulatedModel("claude-sonnet-5-5", Rates(2_000, 10_000, 100, 2_500, 4_000)),
    SimulatedModel(
        "claude-opus-5-5",
        Rates(4_000, 20_000, 200, 5_000, 8_000),
        tokens_per_second=60.0,
        first_token_seconds=0.8,
        always_thinks=True,
    ),
    SimulatedModel(
        "claude-fable-5-1",
        Rates(10_000, 50_000, 250, 12_500, 20_000),
        tokens_per_second=40.0,
        first_token_seconds=1.0,
    ),
    SimulatedModel(
        "claude-haiku-4-5",
        Rates(1_000, 5_000, 100, 1_250, 2_000),
        tokens_per_second=140.0,
        first_token_seconds=0.3,
        current=False,
        max_output_tokens=64_000,
        context_tokens=200_000,
    ),
)
