"""The provider's prompt cache: prefixes up to a breakpoint, kept 5 minutes or an hour, renewed by reads."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agentfleet_cli.simulator.models import Usage
from agentfleet_cli.simulator.prompt import Prompt, tokens_in

TTL_SECONDS: Final = {"5m": 300.0, "1h": 3_600.0}
LOOKBACK_BLOCKS: Final = 20
"""A breakpoint finds what an earlier request wrote at one of so many blocks, itself the first (prompt caching
guide of the Messages API): how a conversation reads its former turns.
"""


@dataclass(frozen=True, slots=True)
class Prefix:
    """The prompt up to the end of a block."""

    digest: bytes
    tokens: int
    ttl: str
    """Empty: the block is no breakpoint."""


class PromptCache:
    """Bounded: the oldest entries go first."""

    def __init__(self, *, max_entries: int = 10_000) -> None:
        self._until: dict[bytes, float] = {}
        self._max_entries = max_entries

    def charge(self, key: str, prompt: Prompt, *, now_seconds: float, min_tokens: int) -> Usage:
        """The prompt's tokens by price class; what it writes is there for the next call."""
        if not any(ttl for _, ttl in prompt.blocks):
            return Usage(prompt.tokens, 0, 0, 0)
        prefixes = self._prefixes(key, prompt)
        breakpoints = [
            (place, prefix)
            for place, prefix in enumerate(prefixes)
            if prefix.ttl and prefix.tokens >= min_tokens
        ]
        read = 0
        for place, point in breakpoints:
            hit = self._hit(prefixes[max(0, place + 1 - LOOKBACK_BLOCKS) : place + 1], now_seconds)
            if hit is not None:
                read = hit.tokens
                self._keep(hit.digest, now_seconds + TTL_SECONDS[point.ttl])
        done, written = read, {"5m": 0, "1h": 0}
        for _, point in breakpoints:
            if point.tokens > done:
                written[point.ttl] += point.tokens - done
                done = point.tokens
            self._keep(point.digest, now_seconds + TTL_SECONDS[point.ttl])
        return Usage(prompt.tokens - done, read, written["5m"], written["1h"])

    def _hit(self, prefixes: Sequence[Prefix], now_seconds: float) -> Prefix | None:
        """The longest that is there."""
        there = (each for each in reversed(prefixes) if self._until.get(each.digest, 0.0) > now_seconds)
        return next(there, None)

    def _prefixes(self, key: str, prompt: Prompt) -> list[Prefix]:
        digest = hashlib.blake2b(f"{key}\0{prompt.model.name}".encode(), digest_size=16)
        size = 0
        found: list[Prefix] = []
        for block, ttl in prompt.blocks:
            digest.update(block)
            size += len(block)
            kept = "5m" if ttl and ttl not in TTL_SECONDS else ttl
            found.append(Prefix(digest.digest(), tokens_in(size), kept))
        return found

    def _keep(self, digest: bytes, until_seconds: float) -> None:
        before = self._until.pop(digest, 0.0)
        self._until[digest] = max(before, until_seconds)
        while len(self._until) > self._max_entries:
            del self._until[next(iter(self._until))]
