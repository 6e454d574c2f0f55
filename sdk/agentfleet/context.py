"""What a handler gets: its task, journaled steps, and paid calls, routed and reserved and settled for it.

A protocol: the worker implements it, tests can fake it. It imports nothing heavy.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's response, journaled."""

    message: Mapping[str, Any]
    """As the provider gave it: content blocks, stop_reason, usage, …"""
    tier: str
    model: str
    cost_nano_usd: int

    @property
    def text(self) -> str:
        """Its text blocks, joined; empty when it has none."""
        return "".join(block["text"] for block in self.message["content"] if block["type"] == "text")

    @property
    def stop_reason(self) -> str:
        return str(self.message.get("stop_reason") or "")

    @property
    def parsed(self) -> Any:
        """The text as JSON, with or without a Markdown fence. Raises `ValueError` when it is none."""
        return parse_json(self.text)


class TaskContext(Protocol):
    """One attempt at one task, seen from its handler."""

    @property
    def task_id(self) -> str: ...
    @property
    def task_type(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def attempt(self) -> int:
        """Grows with each attempt; not stable, so never part of an idempotency key."""
        ...

    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def client(self) -> "AsyncAnthropic":
        """A plain client whose calls are routed, reserved, journaled and settled like `llm`'s."""
        ...

    @overload
    async def step(
        self, name: str, function: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any
    ) -> T: ...
    @overload
    async def step(self, name: str, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T: ...
    async def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run a function once for the task, however often the task restarts; its result must be JSON-like.

        A name used again in the same attempt counts as another step, in the order of use.
        """
        ...

    async def llm(
        self,
        name: str,
        *,
        prompt: str | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        system: str | None = None,
        max_output_tokens: int = 1_024,
        tier: str | None = None,
        **parameters: Any,
    ) -> Reply:
        """One model response, on the task's tier or on another inside the type's bounds.

        Exactly one of `prompt` and `messages`. Further parameters go to the provider as they are.
        """
        ...

    def idempotency_key(self, step: str | None = None) -> str:
        """The same for a step in every attempt, for a system that acts; without a name, this step's."""
        ...


def parse_json(text: str) -> Any:
    """JSON, with or without a Markdown fence around it. Raises `ValueError`."""
    stripped = text.strip()
    if stripped.startswith("```"):
        stripped = stripped.partition("\n")[2].rpartition("```")[0]
    return json.loads(stripped)
