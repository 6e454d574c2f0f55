"""PURE. What a model's response means for its agent: whether it answered, wants tools, or cannot go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentfleet_core.queue.reasons import AttemptReason

Block = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answered:
    text: str
    limitation: str = ""
    """What the answer lacks, when the model did not end it by itself."""


@dataclass(frozen=True, slots=True)
class WantsTools:
    uses: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class GoesOn:
    """The provider paused a long turn: the same conversation continues it."""


@dataclass(frozen=True, slots=True)
class Stuck:
    reason: AttemptReason
    detail: str


def read_turn(message: Mapping[str, Any]) -> Answered | WantsTools | GoesOn | Stuck:
    content: Sequence[Block] = message["content"]
    uses = tuple(block for block in content if block["type"] == "tool_use")
    text = "".join(block["text"] for block in content if block["type"] == "text")
    reason = message.get("stop_reason")
    match reason:
        case "tool_use" if uses:
            return WantsTools(uses)
        case "end_turn" | "stop_sequence":
            return Answered(text)
        case "pause_turn":
            return GoesOn()
        case "refusal":
            return Stuck(AttemptReason.MODEL_REFUSED, f"the model refused to answer{_category(message)}")
        case "max_tokens":
            return _cut(text, uses, "maxOutputTokens", "raise spec.agent.maxOutputTokens")
        case "model_context_window_exceeded":
            return _cut(text, uses, "the model's context window", "shorten the input or the tools' results")
    # A reason newer than this code: what is there is used as far as it explains itself.
    if uses:
        return WantsTools(uses)
    return _cut(
        text, uses, f'the stop reason "{reason}", which this version does not know', "see the provider"
    )


def _cut(text: str, uses: Sequence[Block], by: str, advice: str) -> Answered | Stuck:
    if uses:
        return Stuck(AttemptReason.ANSWER_CUT, f"a tool call was cut by {by}; {advice}")
    if not text:
        return Stuck(AttemptReason.ANSWER_CUT, f"the model was cut by {by} before it said anything; {advice}")
    return Answered(text, f"The answer was cut by {by}.")


def _category(message: Mapping[str, Any]) -> str:
    details = message.get("stop_details") or {}
    parts = [str(details[name]) for name in ("category", "explanation") if details.get(name)]
    return f": {'; '.join(parts)}" if parts else ""


def cache_until_here(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The conversation, with a cache breakpoint at its end: the next turn reads it instead of paying it
    again.
    """
    *before, last = [dict(message) for message in messages]
    content = last["content"]
    blocks: list[dict[str, Any]] = (
        [{"type": "text", "text": content}] if isinstance(content, str) else [dict(each) for each in content]
    )
    blocks[-1]["cache_control"] = {"type": "ephemeral"}
    return [*before, {**last, "content": blocks}]
