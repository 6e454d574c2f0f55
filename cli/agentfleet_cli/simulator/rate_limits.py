"""The provider's limits per key and model: three buckets that refill over a minute, and their headers."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from agentfleet_cli.simulator.behaviour import Behaviour
from agentfleet_cli.simulator.errors import ApiError

SHOWN_WITHOUT_LIMIT = 1_000_000
"""What the headers say when no limit is set."""


@dataclass(slots=True)
class Bucket:
    """`level` may fall below zero: output is taken after the fact."""

    limit: int
    level: float
    at_seconds: float

    def refill(self, now_seconds: float) -> None:
        gained = (now_seconds - self.at_seconds) * self.limit / 60
        self.level = min(float(self.limit), self.level + gained)
        self.at_seconds = now_seconds

    def seconds_until(self, amount: float) -> float:
        return max(0.0, (min(amount, self.limit) - self.level) * 60 / self.limit)


@dataclass(slots=True)
class RateLimits:
    _buckets: dict[tuple[str, str, str], Bucket] = field(default_factory=dict)

    def admit(
        self, who: tuple[str, str], input_tokens: int, behaviour: Behaviour, now_seconds: float
    ) -> None:
        """Take a request and its input tokens. Raises ApiError 429 with the time until there is room."""
        wanted = {"requests": 1.0, "input-tokens": float(input_tokens), "output-tokens": 1.0}
        buckets = {kind: self._bucket(who, kind, behaviour, now_seconds) for kind in wanted}
        for kind, bucket in buckets.items():
            if bucket is None:
                continue
            wait = bucket.seconds_until(wanted[kind])
            if wait > 0:
                raise ApiError(
                    429,
                    f"This request would exceed the rate limit of {bucket.limit} {kind} per minute",
                    retry_after=wait,
                )
        for kind in ("requests", "input-tokens"):
            taken = buckets[kind]
            if taken is not None:
                taken.level -= wanted[kind]

    def produced(
        self, who: tuple[str, str], output_tokens: int, behaviour: Behaviour, now_seconds: float
    ) -> None:
        bucket = self._bucket(who, "output-tokens", behaviour, now_seconds)
        if bucket is not None:
            bucket.level -= output_tokens

    def headers(self, who: tuple[str, str], behaviour: Behaviour, now_seconds: float) -> dict[str, str]:
        found: dict[str, str] = {}
        for kind in ("requests", "input-tokens", "output-tokens"):
            bucket = self._bucket(who, kind, behaviour, now_seconds)
            limit = bucket.limit if bucket else SHOWN_WITHOUT_LIMIT
            level = bucket.level if bucket else float(limit)
            full_in = bucket.seconds_until(limit) if bucket else 0.0
            reset = (datetime.now(UTC) + timedelta(seconds=full_in)).strftime("%Y-%m-%dT%H:%M:%SZ")
            found[f"anthropic-ratelimit-{kind}-limit"] = str(limit)
            found[f"anthropic-ratelimit-{kind}-remaining"] = str(max(0, int(level)))
            found[f"anthropic-ratelimit-{kind}-reset"] = reset
        return found

    def _bucket(
        self, who: tuple[str, str], kind: str, behaviour: Behaviour, now_seconds: float
    ) -> Bucket | None:
        limit = {
            "requests": behaviour.requests_per_minute,
            "input-tokens": behaviour.input_tokens_per_minute,
            "output-tokens": behaviour.output_tokens_per_minute,
        }[kind]
        if limit <= 0:
            return None
        bucket = self._buckets.get((*who, kind))
        if bucket is None or bucket.limit != limit:
            bucket = self._buckets[*who, kind] = Bucket(limit, float(limit), now_seconds)
        bucket.refill(now_seconds)
        return bucket
