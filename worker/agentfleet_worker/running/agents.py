"""Runs a TaskType's agent: its prompt, then turns of responses and tools until the model has answered.

Every response and every tool result is a journaled step of its own, so an attempt that starts over walks
the same conversation without paying or acting again, up to the place where the one before ended.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from agentfleet import Tool
from agentfleet.context import parse_json
from agentfleet.tools import call_function
from agentfleet_core.api.v1alpha1.task_type import Agent, TaskTypeSpec
from agentfleet_core.errors import InvalidInput
from agentfleet_core.providers.anthropic.api import without_thinking
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.queue.step import StepKind, encode_json
from agentfleet_worker.attempt.limits import MAX_TOOL_RESULT_BYTES, sized
from agentfleet_worker.attempt.outcomes import AttemptStopped, fail
from agentfleet_worker.attempt.words import text_of
from agentfleet_worker.calls.anthropic.turns import (
    Answered,
    GoesOn,
    Stuck,
    WantsTools,
    cache_until_here,
    read_turn,
)
from agentfleet_worker.calls.call import Call
from agentfleet_worker.running.context import WorkerContext
from agentfleet_worker.running.schemas import problems_of
from agentfleet_worker.running.services import Services
from agentfleet_worker.running.templates import fill

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    output: Any
    limitations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """A response in the conversation, and who gave it."""

    content: Sequence[Mapping[str, Any]]
    model: str


async def run_agent(
    spec: TaskTypeSpec, context: WorkerContext, services: Services, values: Mapping[str, Any]
) -> Answer:
    """Raises `AttemptStopped` when no answer can come of it."""
    assert spec.agent is not None  # noqa: S101 -- the caller has looked
    try:
        system, prompt = fill(spec.agent.system, values), fill(spec.agent.prompt, values)
    except InvalidInput as error:
        raise AttemptStopped(fail(AttemptReason.INPUT_REFUSED, str(error), error)) from error
    conversation = Conversation(spec, context, services, system, prompt)
    for number in range(1, spec.agent.max_turns + 1):
        answer = await conversation.turn(number)
        if answer is not None:
            return answer
    if conversation.asked_again:
        # The turn in which the answer is put right is not one of the agent's own.
        answer = await conversation.turn(spec.agent.max_turns + 1)
        if answer is not None:
            return answer
    detail = (
        f"no answer within maxTurns ({spec.agent.max_turns}); raise it, or tell the model to come to an end"
    )
    raise AttemptStopped(fail(AttemptReason.TOO_MANY_TURNS, detail))


class Conversation:
    def __init__(
        self, spec: TaskTypeSpec, context: WorkerContext, services: Services, system: str, prompt: str
    ) -> None:
        assert spec.agent is not None  # noqa: S101 -- the caller has looked
        self._agent: Agent = spec.agent
        self._schema = spec.output_schema
        self._context = context
        self._services = services
        self._tools = {tool.name: tool for tool in map(services.code.tool, spec.agent.tools)}
        self._parameters = self._fixed_parameters(system)
        self._said: list[Turn | str | list[dict[str, Any]]] = [prompt]
        self.asked_again = False

    async def turn(self, number: int) -> Answer | None:
        """One response and what it asks for; None when the conversation goes on."""
        name = f"turn-{number}"
        call = Call(self._context.key_of(name), name, None)
        reply = await self._context.ask(call, {**self._parameters, "messages": self._messages()})
        self._said.append(Turn(reply.message["content"], reply.model))
        match read_turn(reply.message):
            case WantsTools(uses):
                self._said.append(await self._use_tools(number, uses))
            case Answered(text, limitation):
                return self._accept(text, limitation)
            case Stuck(reason, detail):
                raise AttemptStopped(fail(reason, detail))
            case GoesOn():
                pass
        return None

    def _fixed_parameters(self, system: str) -> dict[str, Any]:
        agent = self._agent
        parameters: dict[str, Any] = {"max_tokens": agent.max_output_tokens}
        instructions = [system] if system else []
        if self._schema:
            instructions.append(
                "Give your final answer as one JSON value and nothing else. It must match this JSON Schema:\n"
                + orjson.dumps(self._schema).decode()
            )
        if instructions:
            blocks = [{"type": "text", "text": text} for text in instructions]
            blocks[-1]["cache_control"] = {"type": "ephemeral"}  # type: ignore[assignment]  # a block's values vary
            parameters["system"] = blocks
        if self._tools:
            parameters["tools"] = [_described(tool) for tool in self._tools.values()]
        if agent.thinking is not None:
            parameters["thinking"] = {"type": agent.thinking.mode.lower()}
        return parameters

    def _messages(self) -> list[dict[str, Any]]:
        model = self._services.routes.model_for(self._context)
        messages: list[dict[str, Any]] = []
        for said in self._said:
            if isinstance(said, Turn):
                content = said.content if said.model == model else without_thinking(said.content)
                if content:  # the provider takes no empty turn
                    messages.append({"role": "assistant", "content": content})
            else:
                messages.append({"role": "user", "content": said})
        # The provider takes no conversation that ends with its own turn unless it paused that turn itself.
        return cache_until_here(messages) if self._tools and messages[-1]["role"] == "user" else messages

    def _accept(self, text: str, limitation: str) -> Answer | None:
        limitations = (limitation,) if limitation else ()
        if not self._schema:
            return Answer({"text": text}, limitations)
        try:
            output = parse_json(text)
            wrong = problems_of(self._schema, output)
        except ValueError as error:
            wrong = f"it is no JSON: {error}"
        if not wrong:
            return Answer(output, limitations)
        if self.asked_again:
            detail = f"the answer is off the type's outputSchema, also when asked again: {wrong}"
            raise AttemptStopped(fail(AttemptReason.OUTPUT_REFUSED, detail))
        self.asked_again = True
        self._said.append(
            f"Your answer does not match the schema: {wrong}. Answer again, with the JSON value alone."
        )
        return None

    async def _use_tools(self, number: int, uses: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The results in the order of the calls; calls of one turn run at the same time."""
        running = [
            asyncio.ensure_future(self._use_tool(f"tool-{number}-{place}", use))
            for place, use in enumerate(uses, 1)
        ]
        try:
            # All of them, also after one has failed: what the others did is journaled then, not done again.
            await asyncio.wait(running)
        finally:
            for each in running:
                each.cancel()
        return [each.result() for each in running]

    async def _use_tool(self, key: str, use: Mapping[str, Any]) -> dict[str, Any]:
        result = await self._context.run(
            StepKind.TOOL,
            use["name"],
            self._context.key_of(key),
            _tool_step,
            (self._tools, use, self._context),
        )
        block = {"type": "tool_result", "tool_use_id": use["id"], "content": result["content"]}
        return {**block, "is_error": True} if result["is_error"] else block


async def _tool_step(
    tools: Mapping[str, Tool[..., Any]], use: Mapping[str, Any], context: WorkerContext
) -> dict[str, Any]:
    """What the model sees of a tool's run: its result, or an error that it can act on."""
    tool = tools.get(use["name"])
    if tool is None:
        return _refused(f"there is no tool {use['name']}; there is {', '.join(sorted(tools)) or 'none'}")
    if not isinstance(use["input"], Mapping) or "_unreadable" in use["input"]:
        return _refused(f"the arguments of {tool.name} are no JSON object")
    try:
        result = await call_function(tool.bind(use["input"], context))
        text = result if isinstance(result, str) else encode_json(result).decode()
    except InvalidInput as error:
        return _refused(str(error))
    except Exception as error:
        # Users' code may raise anything; the model is told, and may go another way. Whoever wrote the tool
        # sees the place in the log; whoever waits for the task sees the text in its step.
        told = {"tool": tool.name, "task": context.task_id}
        log.warning("a tool failed; the model was told", extra=told, exc_info=error)
        return _refused(f"{tool.name} failed: {type(error).__name__}: {text_of(error)}"[:2_000])
    size = len(text.encode())
    if size > MAX_TOOL_RESULT_BYTES:
        most = sized(MAX_TOOL_RESULT_BYTES)
        return _refused(f"{tool.name} returned {sized(size)}, the limit is {most}; ask for less")
    return {"content": text, "is_error": False}


def _refused(text: str) -> dict[str, Any]:
    return {"content": text, "is_error": True}


def _described(tool: Tool[..., Any]) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
