"""The knobs: how fast, how long, how often wrong. Frozen; a change while it runs replaces the whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

FAULTS: Final = frozenset(
    {"400", "401", "403", "404", "413", "429", "500", "504", "529", "cut", "event", "hang"}
)


@dataclass(frozen=True, slots=True)
class Behaviour:
    seed: int = 0
    speed: float = 1.0
    """Divides every time: 10 answers ten times as fast."""
    first_token_seconds: float | None = None
    """None: the model's own."""
    tokens_per_second: float | None = None
    jitter: float = 0.3
    """Sigma of the log-normal factor on both."""
    seconds: float | None = None
    """The whole call takes exactly this, whatever its tokens; None: from the two above."""
    min_output_tokens: int = 60
    max_output_tokens: int = 220
    events: int = 0
    """Text deltas of a stream; 0: one for each 8 tokens."""
    error_rate: float = 0.0
    """Share of calls that get a fault."""
    faults: Mapping[str, float] = field(
        default_factory=lambda: {"529": 4.0, "500": 2.0, "429": 2.0, "cut": 1.0, "event": 1.0}
    )
    """Fault to weight."""
    outage: str = ""
    """A fault that every call gets until it is empty again."""
    retry_after_seconds: float = 1.0
    requests_per_minute: int = 0
    """Per key and model; 0: no limit."""
    input_tokens_per_minute: int = 0
    output_tokens_per_minute: int = 0
    min_cache_tokens: int = 1_024
    """Prefixes shorter than this are not cached."""
    batch_seconds: float = 1.0
    """How long a message batch takes."""
    max_body_bytes: int = 32 * 1024 * 1024
    keys: tuple[str, ...] = ()
    """Accepted API keys; empty: any."""

    def changed(self, change: Mapping[str, Any]) -> "Behaviour":
        """A copy with these knobs set. Raises ValueError naming an unknown knob or fault."""
        known = {knob.name for knob in fields(self)}
        unknown = sorted(set(change) - known)
        if unknown:
            raise ValueError(f"no knob is called {unknown[0]}; there are {', '.join(sorted(known))}")
        values = dict(change)
        if "keys" in values:
            values["keys"] = tuple(values["keys"])
        changed = replace(self, **values)
        for fault in (*changed.faults, *filter(None, [changed.outage])):
            if fault not in FAULTS:
                raise ValueError(f"no fault is called {fault}; there are {', '.join(sorted(FAULTS))}")
        return changed
