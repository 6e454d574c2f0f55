"""The simulator's routes: each request becomes a decision at once and, for messages, a schedule of writes."""

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import orjson

from agentfleet_cli.simulator.answer import Answer, decide
from agentfleet_cli.simulator.batches import Batches
from agentfleet_cli.simulator.behaviour import Behaviour
from agentfleet_cli.simulator.bill import Bill, BilledCall
from agentfleet_cli.simulator.errors import ApiError
from agentfleet_cli.simulator.models import MODELS, Usage
from agentfleet_cli.simulator.player import Player
from agentfleet_cli.simulator.prompt import Prompt, read_prompt
from agentfleet_cli.simulator.prompt_cache import PromptCache
from agentfleet_cli.simulator.rate_limits import RateLimits
from agentfleet_cli.simulator.render import message_json, stream_chunks
from agentfleet_cli.simulator.scenario import Scene, find_script
from agentfleet_cli.simulator.wire import Connection, Exchange, Request
from agentfleet_core.errors import InvalidInput

MARK_HEADER = "x-sim-mark"
JSON_TYPE = {"content-type": "application/json"}


class Simulator:
    """All state of one simulated provider. `handle` is called on the event loop and never blocks."""

    def __init__(self, behaviour: Behaviour | None = None, scenes: Sequence[Scene] = ()) -> None:
        self.behaviour = behaviour or Behaviour()
        self._scenes = scenes
        self._ids = itertools.count(1)
        self.reset()

    def reset(self) -> None:
        """Forget bill, cache, limits and batches; the behaviour stays."""
        self.bill = Bill()
        self._cache = PromptCache()
        self._limits = RateLimits()
        self._asked: Counter[tuple[str, int]] = Counter()
        self._batches = Batches(self)

    def handle(self, request: Request, exchange: Exchange) -> None:
        request_id = f"req_sim_{next(self._ids):08d}"
        try:
            self._route(request, exchange, request_id)
        except ApiError as error:
            self.refuse(exchange, error, request_id)

    def refuse(self, exchange: Exchange, error: ApiError, request_id: str) -> None:
        self.bill.refused[str(error.status)] += 1
        headers = {**JSON_TYPE, "request-id": request_id}
        if error.retry_after is not None:
            headers["retry-after"] = f"{error.retry_after:.3f}".rstrip("0").rstrip(".")
        exchange.respond(error.status, headers, orjson.dumps(error.body(request_id)))

    def _route(self, request: Request, exchange: Exchange, request_id: str) -> None:
        if request.path.startswith("/sim/") or request.path == "/healthz":
            _json(exchange, self._control(request), request_id)
            return
        key = self._key(request)
        match request.method, request.path.rstrip("/").split("/")[1:]:
            case "POST", ["v1", "messages"]:
                self._message(request, exchange, request_id, key)
            case "POST", ["v1", "messages", "count_tokens"]:
                prompt = read_prompt(_body(request), seed=self.behaviour.seed, counting=True)
                _json(exchange, {"input_tokens": prompt.tokens}, request_id)
            case method, ["v1", "messages", "batches", *rest]:
                self._batches.handle(method, rest, request, exchange, request_id, key)
            case "GET", ["v1", "models"]:
                data = [_model_json(name) for name in MODELS]
                _json(
                    exchange, {"data": data, "has_more": False, "first_id": None, "last_id": None}, request_id
                )
            case "GET", ["v1", "models", name] if name in MODELS:
                _json(exchange, _model_json(name), request_id)
            case _:
                raise ApiError(404, f"Not found: {request.method} {request.path}")

    def _key(self, request: Request) -> str:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        key = request.headers.get("x-api-key") or bearer
        if not key or (self.behaviour.keys and key not in self.behaviour.keys):
            raise ApiError(401)
        if not request.headers.get("anthropic-version"):
            raise ApiError(400, "anthropic-version: header is required")
        return key

    def _message(self, request: Request, exchange: Exchange, request_id: str, key: str) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        prompt = read_prompt(_body(request), seed=self.behaviour.seed)
        answer, mark = self.decide(prompt, request.headers.get(MARK_HEADER, ""))
        if answer.fault == "hang":
            return
        if answer.fault.isdigit():
            status = int(answer.fault)
            loop.call_later(
                answer.first_token_seconds / 2,
                self.refuse,
                exchange,
                ApiError(status, retry_after=answer.retry_after if status in (429, 529) else None),
                request_id,
            )
            return
        who = (key, prompt.model.name)
        usage = self.admit(who, prompt, now)
        call = BilledCall(request_id, key, prompt.model, mark, prompt.turn, prompt.fingerprint, usage)
        self.bill.open(call)
        headers = {"request-id": request_id, **self._limits.headers(who, self.behaviour, now)}
        message_id = f"msg_sim_{request_id[-8:]}"
        player = Player(self, exchange, call, answer, headers)
        if prompt.stream:
            player.stream(stream_chunks(message_id, prompt, answer, usage), now)
        else:
            body = message_json(message_id, prompt, answer, replace(usage, output=answer.output_tokens))
            player.whole(orjson.dumps(body), now)

    def decide(self, prompt: Prompt, mark: str) -> tuple[Answer, str]:
        """The answer, and the mark that it is counted under."""
        script = find_script(
            self._scenes,
            system=prompt.system,
            prompt=prompt.first,
            model=prompt.model.name,
            tools=tuple(prompt.tools),
            tool_result=prompt.tool_result,
        )
        mark = mark or script.mark or prompt.conversation
        asked = self._asked[mark, prompt.turn]
        self._asked[mark, prompt.turn] += 1
        return decide(prompt, script, self.behaviour, asked=asked), mark

    def admit(self, who: tuple[str, str], prompt: Prompt, now_seconds: float) -> Usage:
        """The prompt's tokens by price class. Raises ApiError when it is too long or over a rate limit."""
        if prompt.tokens > prompt.model.context_tokens:
            raise ApiError(
                400, f"prompt is too long: {prompt.tokens} tokens > {prompt.model.context_tokens} maximum"
            )
        self._limits.admit(who, prompt.tokens, self.behaviour, now_seconds)
        return self._cache.charge(
            who[0], prompt, now_seconds=now_seconds, min_tokens=self.behaviour.min_cache_tokens
        )

    def close(self, call: BilledCall, produced: int, *, whole: bool) -> None:
        """Bill what has left."""
        self.bill.close(call, produced, whole=whole)
        now = asyncio.get_running_loop().time()
        self._limits.produced((call.key, call.model.name), produced, self.behaviour, now)

    def _control(self, request: Request) -> Mapping[str, Any]:
        match request.method, request.path:
            case "GET", "/healthz":
                return {"status": "ok"}
            case "GET", "/sim/bill":
                return self.bill.as_json()
            case "GET", "/sim/calls":
                return self.bill.calls_json(parse_qs(request.query).get("mark", [None])[0])
            case "POST", "/sim/behaviour":
                try:
                    self.behaviour = self.behaviour.changed(_body(request))
                except (TypeError, ValueError) as error:
                    raise ApiError(400, f"sim: {error}") from error
                return {"status": "ok"}
            case "POST", "/sim/reset":
                self.reset()
                return {"status": "ok"}
        raise ApiError(404, f"Not found: {request.method} {request.path}")


async def serve(simulator: Simulator, host: str, port: int) -> tuple[asyncio.Server, set[Connection]]:
    """Listening when it returns; port 0 takes a free one. Raises `InvalidInput` where it cannot listen."""
    connections: set[Connection] = set()
    try:
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(simulator.handle, lambda: simulator.behaviour.max_body_bytes, connections),
            host,
            port,
            backlog=4_096,
            reuse_address=True,
        )
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise InvalidInput(f"{host}:{port} cannot be used ({why}); choose another --port") from error
    return server, connections


def _body(request: Request) -> dict[str, Any]:
    if request.too_large:
        raise ApiError(413)
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"The request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise ApiError(400, "The request body is not a JSON object")
    return body


def _json(exchange: Exchange, body: Mapping[str, Any], request_id: str) -> None:
    exchange.respond(200, {**JSON_TYPE, "request-id": request_id}, orjson.dumps(body))


def _model_json(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2026-09-01T00:00:00Z"}
