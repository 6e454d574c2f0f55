"""The provider's prompt cache: prefixes up to a breakpoint, kept 5 minutes or an hour, renewed by reads."""

import hashlib
from dataclasses import dataclass
from typing import Final

from agentfleet_cli.simulator.models import Usage
from agentfleet_cli.simulator.prompt import Prompt, tokens_in

TTL_SECONDS: Final = {"5m": 300.0, "1h": 3_600.0}


@dataclass(frozen=True, slots=True)
class Breakpoint:
    digest: bytes
    tokens: int
    ttl: str


class PromptCache:
    """Bounded: the oldest entries go first."""

    def __init__(self, *, max_entries: int = 10_000) -> None:
        self._until: dict[bytes, float] = {}
        self._max_entries = max_entries

    def charge(self, key: str, prompt: Prompt, *, now_seconds: float, min_tokens: int) -> Usage:
        """The prompt's tokens by price class; what it writes is there for the next call."""
        if not any(ttl for _, ttl in prompt.blocks):
            return Usage(prompt.tokens, 0, 0, 0)
        breakpoints = [point for point in self._breakpoints(key, prompt) if point.tokens >= min_tokens]
        if not breakpoints:
            return Usage(prompt.tokens, 0, 0, 0)
        read = 0
        written = {"5m": 0, "1h": 0}
        for point in breakpoints:
            if self._until.get(point.digest, 0.0) > now_seconds:
                read = point.tokens
        done = read
        for point in breakpoints:
            if point.tokens > done:
                written[point.ttl] += point.tokens - done
                done = point.tokens
            self._keep(point.digest, now_seconds + TTL_SECONDS[point.ttl])
        return Usage(prompt.tokens - done, read, written["5m"], written["1h"])

    def _breakpoints(self, key: str, prompt: Prompt) -> list[Breakpoint]:
        digest = hashlib.blake2b(f"{key}\0{prompt.model.name}".encode(), digest_size=16)
        size = 0
        found: list[Breakpoint] = []
        for block, ttl in prompt.blocks:
            digest.update(block)
            size += len(block)
            if ttl:
                found.append(
                    Breakpoint(digest.digest(), tokens_in(size), ttl if ttl in TTL_SECONDS else "5m")
                )
        return found

    def _keep(self, digest: bytes, until_seconds: float) -> None:
        self._until.pop(digest, None)
        self._until[digest] = until_seconds
        while len(self._until) > self._max_entries:
            del self._until[next(iter(self._until))]
