"""PURE. A request body, checked as the API checks it and boiled down to what the answer depends on."""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from agentfleet_cli.simulator.errors import ApiError
from agentfleet_cli.simulator.models import MODELS, SimulatedModel

BYTES_PER_TOKEN = 4
"""An API's tokens are between 3 and 4 bytes of English; never more tokens than bytes."""

type_of = type


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one request asks."""

    model: SimulatedModel
    max_tokens: int
    stream: bool
    system: str
    first: str
    """The text of the first user message."""
    turn: int
    """Assistant messages so far."""
    tool_result: str
    """The text of the newest tool result."""
    tools: Mapping[str, Mapping[str, Any]]
    """Name to input schema."""
    tool_choice: str
    output_schema: Mapping[str, Any] | None
    stop_sequences: tuple[str, ...]
    thinks: bool
    shows_thinking: bool
    fingerprint: str
    """Names the messages and the system prompt: the same step asked again has the same one."""
    conversation: str
    """Names the first user message: what a thinking signature is bound to."""
    blocks: tuple[tuple[bytes, str], ...]
    """Tools, system, messages, in the order of the prompt cache; each with its cache ttl or an empty one."""

    @property
    def tokens(self) -> int:
        return tokens_in(sum(len(block) for block, _ in self.blocks))


def tokens_in(size: int) -> int:
    """Tokens of so many bytes."""
    return -(-size // BYTES_PER_TOKEN)


def sign(seed: int, model: str, conversation: str, thinking: str) -> str:
    """The signature of a thinking block: good for one model in one conversation."""
    secret = f"agentfleet-simulator-{seed}".encode()
    return b64encode(hmac.digest(secret, f"{model}\0{conversation}\0{thinking}".encode(), "sha256")).decode()


def read_prompt(body: Mapping[str, Any], *, seed: int, counting: bool = False) -> Prompt:
    """Raises ApiError as the API would; `counting` is for count_tokens, which needs no max_tokens."""
    try:
        return _read(body, seed, counting=counting)
    except (TypeError, AttributeError, KeyError) as error:
        raise ApiError(400, f"a field of the request has the wrong type: {error}") from error


def _read(body: Mapping[str, Any], seed: int, *, counting: bool) -> Prompt:
    model = _model(body)
    max_tokens = 1 if counting else _max_tokens(body, model)
    messages = _messages(body, model)
    tools = _tools(body)
    system = body.get("system", "")
    system_blocks = [{"type": "text", "text": system}] if isinstance(system, str) and system else system or []
    conversation = _digest([_uncached(block) for block in messages[0]["content"]])
    _check_thinking_blocks(messages, model.name, conversation, seed)
    thinking = body.get("thinking") or {}
    _check_thinking(thinking, max_tokens, counting=counting)
    output_format = (body.get("output_config") or {}).get("format") or {}
    return Prompt(
        model=model,
        max_tokens=max_tokens,
        stream=body.get("stream") is True,
        system="\n".join(_texts(system_blocks)),
        first="\n".join(_texts(messages[0]["content"])),
        turn=sum(message["role"] == "assistant" for message in messages),
        tool_result=_newest_tool_result(messages[-1]["content"]),
        tools=tools,
        tool_choice=_tool_choice(body, tools),
        output_schema=output_format.get("schema") if output_format.get("type") == "json_schema" else None,
        stop_sequences=_stop_sequences(body),
        thinks=model.always_thinks or thinking.get("type", "disabled") != "disabled",
        shows_thinking=thinking.get("display", "omitted" if model.always_thinks else "summarized")
        != "omitted",
        fingerprint=_digest([system_blocks, messages]),
        conversation=conversation,
        blocks=tuple(_blocks(body, system_blocks, messages)),
    )


def _model(body: Mapping[str, Any]) -> SimulatedModel:
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise ApiError(400, "model: Field required")
    if name not in MODELS:
        raise ApiError(404, f"model: {name}")
    model = MODELS[name]
    if model.current and body.get("temperature") is not None:
        raise ApiError(400, "temperature: `temperature` is not supported by this model")
    return model


def _max_tokens(body: Mapping[str, Any], model: SimulatedModel) -> int:
    value = body.get("max_tokens")
    if value is None:
        raise ApiError(400, "max_tokens: Field required")
    if type_of(value) is not int:
        raise ApiError(400, "max_tokens: Input should be a valid integer")
    if value < 1:
        raise ApiError(400, "max_tokens: Input should be greater than or equal to 1")
    if value > model.max_output_tokens:
        raise ApiError(
            400,
            f"max_tokens: {value} > {model.max_output_tokens}, which is the maximum allowed number of"
            f" output tokens for {model.name}",
        )
    return value


def _messages(body: Mapping[str, Any], model: SimulatedModel) -> list[dict[str, Any]]:
    """With content as a list of blocks always, neighbours of one role merged, and tool results checked."""
    raw = body.get("messages")
    if not isinstance(raw, list) or not raw:
        raise ApiError(400, "messages: at least one message is required")
    messages: list[dict[str, Any]] = []
    for number, message in enumerate(raw):
        role, content = _message(number, message)
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] = [*messages[-1]["content"], *content]
        else:
            messages.append({"role": role, "content": content})
    if messages[0]["role"] != "user":
        raise ApiError(400, 'messages: first message must use the "user" role')
    if model.current and messages[-1]["role"] == "assistant" and not _was_paused(messages):
        raise ApiError(
            400,
            "This model does not support assistant message prefill."
            " The conversation must end with a user message.",
        )
    _check_tool_results(messages)
    return messages


def _uncached(block: Mapping[str, Any]) -> dict[str, Any]:
    """Where the prompt cache ends is no part of what was said."""
    return {name: value for name, value in block.items() if name != "cache_control"}


def _was_paused(messages: Sequence[Mapping[str, Any]]) -> bool:
    """A turn that ended with `pause_turn` is sent back as it is; only a script can make one here."""
    return any("pause_turn" in text for text in _texts(messages[0]["content"]))


def _message(number: int, message: Any) -> tuple[str, list[dict[str, Any]]]:
    if not isinstance(message, dict) or message.get("role") not in {"user", "assistant"}:
        raise ApiError(400, f"messages.{number}.role: Input should be 'user' or 'assistant'")
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise ApiError(400, f"messages.{number}.content: Input should be a valid list")
    for place, block in enumerate(content):
        if not isinstance(block.get("type"), str):
            raise ApiError(400, f"messages.{number}.content.{place}.type: Field required")
        if block["type"] == "text":
            text = block.get("text")
            if not isinstance(text, str):
                raise ApiError(400, f"messages.{number}.content.{place}.text.text: Field required")
            if not text:
                raise ApiError(400, "messages: text content blocks must be non-empty")
    return message["role"], content


def _check_tool_results(messages: Sequence[Mapping[str, Any]]) -> None:
    asked: set[str] = set()
    for number, message in enumerate(messages):
        results = {block.get("tool_use_id") for block in message["content"] if block["type"] == "tool_result"}
        missing = sorted(asked - results)
        if missing:
            raise ApiError(
                400,
                f"messages.{number - 1}: `tool_use` ids were found without `tool_result` blocks immediately"
                f" after: {', '.join(missing)}. Each `tool_use` block must have a corresponding"
                " `tool_result` block in the next message.",
            )
        for stray in sorted(str(item) for item in results - asked):
            raise ApiError(
                400,
                f"messages.{number}.content.0: unexpected `tool_use_id` found in `tool_result` blocks:"
                f" {stray}. Each `tool_result` block must have a corresponding `tool_use` block in the"
                " previous message.",
            )
        asked = {str(block.get("id")) for block in message["content"] if block["type"] == "tool_use"}


def _check_thinking_blocks(
    messages: Sequence[Mapping[str, Any]], model: str, conversation: str, seed: int
) -> None:
    for number, message in enumerate(messages):
        for place, block in enumerate(message["content"]):
            if block["type"] != "thinking":
                continue
            good = sign(seed, model, conversation, str(block.get("thinking", "")))
            if not hmac.compare_digest(good, str(block.get("signature", ""))):
                raise ApiError(
                    400, f"messages.{number}.content.{place}: Invalid `signature` in `thinking` block"
                )


def _check_thinking(thinking: Mapping[str, Any], max_tokens: int, *, counting: bool) -> None:
    kind = thinking.get("type", "disabled")
    if kind not in {"enabled", "disabled", "adaptive", "between_tools"}:
        raise ApiError(
            400, "thinking.type: Input should be 'adaptive', 'between_tools', 'enabled' or 'disabled'"
        )
    budget = thinking.get("budget_tokens", 0)
    if kind == "enabled" and (type_of(budget) is not int or budget < 1_024):
        raise ApiError(400, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if kind == "enabled" and budget >= max_tokens and not counting:
        raise ApiError(400, "`max_tokens` must be greater than `thinking.budget_tokens`")


def _tools(body: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    tools: dict[str, Mapping[str, Any]] = {}
    for number, tool in enumerate(body.get("tools") or ()):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            raise ApiError(400, f"tools.{number}.custom.name: Field required")
        if tool.get("type", "custom") == "custom" and not isinstance(tool.get("input_schema"), dict):
            raise ApiError(400, f"tools.{number}.custom.input_schema: Field required")
        if tool["name"] in tools:
            raise ApiError(400, "tools: Tool names must be unique.")
        tools[tool["name"]] = tool.get("input_schema") or {}
    return tools


def _tool_choice(body: Mapping[str, Any], tools: Mapping[str, Any]) -> str:
    """`auto`, `any`, `none`, or the name of the tool that must be called."""
    choice = body.get("tool_choice") or {"type": "auto"}
    if choice.get("type") != "tool":
        return str(choice.get("type"))
    if choice.get("name") not in tools:
        raise ApiError(400, f"tool_choice.tool.name: Tool '{choice.get('name')}' not found in provided tools")
    return str(choice["name"])


def _stop_sequences(body: Mapping[str, Any]) -> tuple[str, ...]:
    found = tuple(body.get("stop_sequences") or ())
    if not all(isinstance(sequence, str) and sequence for sequence in found):
        raise ApiError(400, "stop_sequences: each stop sequence must be a non-empty string")
    return found


def _texts(content: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(block.get("text", "")) for block in content if block.get("type") == "text"]


def _newest_tool_result(content: Sequence[Mapping[str, Any]]) -> str:
    for block in reversed(content):
        if block["type"] == "tool_result":
            inner = block.get("content", "")
            return inner if isinstance(inner, str) else "\n".join(_texts(inner))
    return ""


def _blocks(
    body: Mapping[str, Any], system: Sequence[Mapping[str, Any]], messages: Sequence[Mapping[str, Any]]
) -> Iterable[tuple[bytes, str]]:
    found = [_block(item) for item in body.get("tools") or ()]
    found += [_block(item) for item in system]
    found += [_block(item) for message in messages for item in message["content"]]
    automatic = body.get("cache_control")
    if automatic and found:
        found[-1] = (found[-1][0], str(automatic.get("ttl", "5m")))
    return found


def _block(block: Mapping[str, Any]) -> tuple[bytes, str]:
    control = block.get("cache_control")
    if not control:
        return orjson.dumps(block), ""
    bare = {key: value for key, value in block.items() if key != "cache_control"}
    return orjson.dumps(bare), str(control.get("ttl", "5m"))


def _digest(value: Any) -> str:
    return hashlib.blake2b(orjson.dumps(value), digest_size=12).hexdigest()
