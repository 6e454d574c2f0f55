"""PURE. What the model answers to a prompt, how long it takes, what goes wrong: from seed and script.

The same prompt, asked for the nth time, gets the same answer in every run and in any order of arrival.
"""

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from agentfleet_cli.simulator.behaviour import Behaviour
from agentfleet_cli.simulator.prompt import BYTES_PER_TOKEN, Prompt, sign, tokens_in
from agentfleet_cli.simulator.scenario import Call, Script, Turn

SENTENCES: Final = (
    "Thank you for writing to us. ",
    "I have looked into this for you. ",
    "The order is on its way and should arrive within two working days. ",
    "I am sorry for the trouble this caused. ",
    "The amount will be back on your card in three to five days. ",
    "Please keep the packaging until the courier has collected it. ",
    "Nothing further is needed from your side. ",
    "If anything is still unclear, just reply to this message. ",
)
MARK: Final = "(simulated) "
"""Begins an answer that no script wrote, so that nobody looks for it in their own code."""
MUSINGS: Final = (
    "First I should see what is being asked. ",
    "The facts given are enough to decide. ",
    "There are two ways to read this; the plain one fits. ",
    "So the answer follows from the policy. ",
)
THINKING_SHARE: Final = 0.4
"""Of a made-up answer's tokens, spent on thinking when the model thinks."""
EVENT_TOKENS: Final = 8


@dataclass(frozen=True, slots=True)
class Block:
    """`kind` is thinking, text or tool_use; `text` of the last is the JSON of its input."""

    kind: str
    text: str
    tokens: int
    name: str = ""
    id: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    blocks: tuple[Block, ...]
    stop_reason: str
    stop_sequence: str | None
    seconds: float
    first_token_seconds: float
    events: int
    """Deltas of all blocks together, about."""
    fault: str = ""
    retry_after: float = 1.0

    @property
    def output_tokens(self) -> int:
        return max(1, sum(block.tokens for block in self.blocks))

    @property
    def thinking_tokens(self) -> int:
        return sum(block.tokens for block in self.blocks if block.kind == "thinking")


def decide(prompt: Prompt, script: Script, behaviour: Behaviour, *, asked: int) -> Answer:
    """`asked`: how often this same turn was asked before."""
    dice = random.Random(f"{behaviour.seed}/{prompt.fingerprint}/{asked}")
    turn = script.turn(prompt.turn) or Turn()
    blocks, stop, sequence = _content(prompt, turn, behaviour, dice)
    tokens = sum(block.tokens for block in blocks)
    first, whole = _times(prompt, script, behaviour, tokens, dice)
    return Answer(
        blocks=blocks,
        stop_reason=turn.stop or stop,
        stop_sequence=sequence,
        seconds=whole,
        first_token_seconds=first,
        events=script.events or behaviour.events or max(1, tokens // EVENT_TOKENS),
        fault=_fault(script, behaviour, asked, dice),
        retry_after=script.retry_after if script.retry_after is not None else behaviour.retry_after_seconds,
    )


def _fault(script: Script, behaviour: Behaviour, asked: int, dice: random.Random) -> str:
    if behaviour.outage:
        return behaviour.outage
    if asked < len(script.fail):
        return script.fail[asked]
    if behaviour.faults and dice.random() < behaviour.error_rate:
        return dice.choices(list(behaviour.faults), weights=list(behaviour.faults.values()))[0]
    return ""


def _times(
    prompt: Prompt, script: Script, behaviour: Behaviour, tokens: int, dice: random.Random
) -> tuple[float, float]:
    """Seconds to the first token and to the last."""
    factor = math.exp(dice.gauss(0.0, behaviour.jitter)) if behaviour.jitter else 1.0
    first = behaviour.first_token_seconds
    first = prompt.model.first_token_seconds * factor if first is None else first
    speed = behaviour.tokens_per_second or prompt.model.tokens_per_second
    whole = first + tokens / speed * factor
    exact = script.seconds if script.seconds is not None else behaviour.seconds
    if exact is not None:
        whole = exact
        first = min(first, exact / 4)
    if script.first_token_seconds is not None:
        first = script.first_token_seconds
        whole = max(whole, first)
    return first / behaviour.speed, whole / behaviour.speed


def _content(
    prompt: Prompt, turn: Turn, behaviour: Behaviour, dice: random.Random
) -> tuple[tuple[Block, ...], str, str | None]:
    """The blocks, cut at max_tokens, with the stop reason and sequence that follow."""
    planned = turn.tokens or dice.randint(behaviour.min_output_tokens, behaviour.max_output_tokens)
    blocks: list[Block] = []
    thinking = (
        turn.thinking
        if turn.thinking is not None
        else (round(planned * THINKING_SHARE) if prompt.thinks else 0)
    )
    if thinking and prompt.thinks:
        blocks.append(_thinking(prompt, thinking, behaviour.seed, dice))
    text, calls = _words(prompt, turn, planned, dice)
    sequence = next((stop for stop in prompt.stop_sequences if stop in text), None)
    if sequence is not None:
        text, calls = text.partition(sequence)[0], ()
    if text:
        blocks.append(Block("text", text, _text_tokens(text, turn.tokens if not calls else None)))
    blocks += [_tool_use(call, prompt, number) for number, call in enumerate(calls)]
    kept, cut = _cut(blocks, prompt.max_tokens)
    if cut:
        return kept, "max_tokens", None
    if calls:
        return kept, "tool_use", None
    return kept, "stop_sequence" if sequence is not None else "end_turn", sequence


def _words(prompt: Prompt, turn: Turn, planned: int, dice: random.Random) -> tuple[str, Sequence[Call]]:
    """The text and the tool calls of a turn; those that no script gives are made up."""
    if turn.text is not None or turn.calls:
        text = turn.text or ""
        missing = (turn.tokens or 0) - tokens_in(len(text.encode()))
        if missing > 0 and not turn.calls and not text.lstrip().startswith(("{", "[")):
            text = f"{text} {_prose(SENTENCES, missing, dice)}".strip()
        return text, turn.calls
    must = prompt.tool_choice in prompt.tools or prompt.tool_choice == "any"
    if prompt.tools and prompt.tool_choice != "none" and (must or prompt.turn == 0):
        name = prompt.tool_choice if prompt.tool_choice in prompt.tools else next(iter(prompt.tools))
        made_up = example(prompt.tools[name], prompt.first)
        return "", (Call(name, made_up if isinstance(made_up, dict) else {}),)
    if prompt.output_schema is not None:
        return orjson.dumps(example(prompt.output_schema, prompt.first)).decode(), ()
    return _prose(SENTENCES, planned, dice, mark=MARK), ()


def _text_tokens(text: str, scripted: int | None) -> int:
    return scripted or max(1, tokens_in(len(text.encode())))


def _thinking(prompt: Prompt, tokens: int, seed: int, dice: random.Random) -> Block:
    text = _prose(MUSINGS, tokens, dice) if prompt.shows_thinking else ""
    signature = sign(seed, prompt.model.name, prompt.conversation, text)
    return Block("thinking", text, tokens, signature=signature)


def _tool_use(call: Call, prompt: Prompt, number: int) -> Block:
    text = orjson.dumps(dict(call.input)).decode()
    tokens = max(1, tokens_in(len(text.encode()) + len(call.tool)))
    return Block("tool_use", text, tokens, name=call.tool, id=f"toolu_sim_{prompt.fingerprint}_{number}")


def _cut(blocks: Sequence[Block], max_tokens: int) -> tuple[tuple[Block, ...], bool]:
    """What fits into max_tokens; a tool call that does not fit whole is left out: it could not be parsed."""
    kept: list[Block] = []
    room = max_tokens
    for block in blocks:
        if block.tokens <= room:
            kept.append(block)
            room -= block.tokens
            continue
        if room > 0 and block.kind == "text":
            part = block.text[: room * BYTES_PER_TOKEN]
            kept.append(Block("text", part, room))
        return tuple(kept), True
    return tuple(kept), False


def _prose(sentences: Sequence[str], tokens: int, dice: random.Random, *, mark: str = "") -> str:
    """Text of exactly so many tokens; where it is cut, it shows that it is."""
    size = max(1, tokens) * BYTES_PER_TOKEN
    start = dice.randrange(len(sentences))
    rotated = "".join((*sentences[start:], *sentences[:start]))
    text = (mark + rotated * (size // len(rotated) + 1))[:size]
    if text.endswith((".", " ")):
        return f"{text[:-1]}."
    return f"{text[:-3]}..."


def example(schema: Mapping[str, Any], prompt: str) -> Any:
    """A value that fits a plain JSON Schema; strings come from the prompt where a pattern finds one."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    match kind:
        case "object":
            properties = schema.get("properties", {})
            wanted = schema.get("required", list(properties))
            return {name: example(properties.get(name, {}), prompt) for name in wanted}
        case "array":
            return [example(schema.get("items", {}), prompt)] * max(1, int(schema.get("minItems", 1)))
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
    found = re.search(schema.get("pattern", r"\b[A-Z]{1,3}-\d+\b").strip("^$"), prompt)
    return found.group(0) if found else "example"
