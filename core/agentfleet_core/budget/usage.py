"""PURE. What a call used, in the words that prices speak; each provider's report is read into these."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one sampling round, or of a call that had only one."""

    input: int
    output: int
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    @property
    def prompt(self) -> int:
        """The whole prompt's length: it chooses the price band."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h


TOKEN_KINDS = tuple(one.name for one in fields(Usage))


@dataclass(frozen=True, slots=True)
class Report:
    """All that prices a call: its rounds and the service that it got."""

    rounds: tuple[Usage, ...]
    web_searches: int = 0
    service_tier: str = "standard"
    speed: str = "standard"
    inference_geo: str = ""

    @property
    def total(self) -> Usage:
        """The tokens of all rounds, for metrics and reports."""
        return Usage(**{kind: sum(getattr(each, kind) for each in self.rounds) for kind in TOKEN_KINDS})


def in_words(report: Report) -> str:
    """The tokens that a price applies to: `412 in, 300 from cache, 96 out`."""
    total = report.total
    counts = (
        (total.input, "in"),
        (total.cache_read, "from cache"),
        (total.cache_write_5m, "into cache for 5 min"),
        (total.cache_write_1h, "into cache for 1 h"),
        (total.output, "out"),
    )
    return ", ".join(f"{tokens:,} {what}" for tokens, what in counts if tokens)
