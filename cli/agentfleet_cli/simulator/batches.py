"""Message batches, thin: accepted, worked on for a set time, then results at half price."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import orjson

from agentfleet_cli.simulator.answer import Answer
from agentfleet_cli.simulator.behaviour import Behaviour
from agentfleet_cli.simulator.bill import Bill, BilledCall
from agentfleet_cli.simulator.errors import ApiError
from agentfleet_cli.simulator.models import Usage
from agentfleet_cli.simulator.prompt import Prompt, read_prompt
from agentfleet_cli.simulator.render import message_json
from agentfleet_cli.simulator.wire import Exchange, Request


@dataclass(slots=True)
class Batch:
    id: str
    key: str
    requests: Sequence[Mapping[str, Any]]
    created: datetime
    status: str = "in_progress"
    ended: datetime | None = None
    cancelled: datetime | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    """custom_id to result."""
    timer: asyncio.TimerHandle | None = None

    def as_json(self, base_url: str) -> dict[str, Any]:
        kinds = [result["type"] for result in self.results.values()]
        return {
            "id": self.id,
            "type": "message_batch",
            "processing_status": self.status,
            "request_counts": {
                "processing": len(self.requests) - len(kinds),
                "succeeded": kinds.count("succeeded"),
                "errored": kinds.count("errored"),
                "canceled": kinds.count("canceled"),
                "expired": 0,
            },
            "created_at": self.created.isoformat(),
            "expires_at": (self.created + timedelta(hours=24)).isoformat(),
            "ended_at": self.ended.isoformat() if self.ended else None,
            "cancel_initiated_at": self.cancelled.isoformat() if self.cancelled else None,
            "archived_at": None,
            "results_url": f"{base_url}/v1/messages/batches/{self.id}/results" if self.ended else None,
        }


class Answers(Protocol):
    """What a batch's requests share with those that are answered at once."""

    behaviour: Behaviour
    bill: Bill

    def decide(self, prompt: Prompt, mark: str) -> tuple[Answer, str]: ...

    def admit(self, who: tuple[str, str], prompt: Prompt, now_seconds: float) -> Usage: ...


class Batches:
    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._batches: dict[str, Batch] = {}
        self._ids = itertools.count(1)

    def handle(
        self,
        method: str,
        rest: Sequence[str],
        request: Request,
        exchange: Exchange,
        request_id: str,
        key: str,
    ) -> None:
        base_url = f"http://{request.headers.get('host', 'localhost')}"
        headers = {"content-type": "application/json", "request-id": request_id}
        match method, rest:
            case "POST", []:
                body = self._create(request, key).as_json(base_url)
            case "GET", []:
                own = [batch.as_json(base_url) for batch in self._batches.values() if batch.key == key]
                body = {"data": own[::-1], "has_more": False, "first_id": None, "last_id": None}
            case "GET", [batch_id]:
                body = self._find(batch_id, key).as_json(base_url)
            case "POST", [batch_id, "cancel"]:
                body = self._cancel(self._find(batch_id, key)).as_json(base_url)
            case "DELETE", [batch_id]:
                body = self._delete(self._find(batch_id, key))
            case "GET", [batch_id, "results"]:
                lines = self._results(self._find(batch_id, key))
                exchange.respond(200, {**headers, "content-type": "application/x-jsonl"}, lines)
                return
            case _:
                raise ApiError(404, f"Not found: {method} {request.path}")
        exchange.respond(200, headers, orjson.dumps(body))

    def _create(self, request: Request, key: str) -> Batch:
        if request.too_large:
            raise ApiError(413)
        try:
            requests = orjson.loads(request.body)["requests"]
            names = [item["custom_id"] for item in requests]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise ApiError(400, "requests: a list of {custom_id, params} is required") from error
        if not names:
            raise ApiError(400, "requests: List should have at least 1 item")
        if len(set(names)) < len(names):
            raise ApiError(400, "requests: custom_id must be unique within a batch")
        batch = Batch(f"msgbatch_sim_{next(self._ids):06d}", key, requests, datetime.now(UTC))
        self._batches[batch.id] = batch
        delay = self._answers.behaviour.batch_seconds
        batch.timer = asyncio.get_running_loop().call_later(delay, self._work, batch)
        return batch

    def _work(self, batch: Batch) -> None:
        for item in batch.requests:
            batch.results[item["custom_id"]] = self._answer(batch, item)
        batch.status = "ended"
        batch.ended = datetime.now(UTC)

    def _answer(self, batch: Batch, item: Mapping[str, Any]) -> dict[str, Any]:
        request_id = f"req_{batch.id}_{item['custom_id']}"
        try:
            prompt = read_prompt(item["params"], seed=self._answers.behaviour.seed)
            answer, mark = self._answers.decide(prompt, "")
            if answer.fault:
                raise ApiError(int(answer.fault) if answer.fault.isdigit() else 500)
            now = asyncio.get_running_loop().time()
            usage = self._answers.admit((batch.key, prompt.model.name), prompt, now)
        except ApiError as error:
            return {"type": "errored", "error": error.body(request_id)}
        call = BilledCall(
            request_id, batch.key, prompt.model, mark, prompt.turn, prompt.fingerprint, usage, batch=True
        )
        self._answers.bill.open(call)
        self._answers.bill.close(call, answer.output_tokens, whole=True)
        usage = replace(usage, output=answer.output_tokens)
        message = message_json(f"msg_{request_id}", prompt, answer, usage, tier="batch")
        return {"type": "succeeded", "message": message}

    def _find(self, batch_id: str, key: str) -> Batch:
        batch = self._batches.get(batch_id)
        if batch is None or batch.key != key:
            raise ApiError(404, f"Batch {batch_id} not found")
        return batch

    def _cancel(self, batch: Batch) -> Batch:
        if batch.status == "in_progress":
            if batch.timer is not None:
                batch.timer.cancel()
            batch.results = {item["custom_id"]: {"type": "canceled"} for item in batch.requests}
            batch.cancelled = batch.ended = datetime.now(UTC)
            batch.status = "ended"
        return batch

    def _delete(self, batch: Batch) -> dict[str, Any]:
        if batch.status != "ended":
            raise ApiError(
                400, f"Batch {batch.id} cannot be deleted while it is in progress; cancel it first"
            )
        del self._batches[batch.id]
        return {"id": batch.id, "type": "message_batch_deleted"}

    def _results(self, batch: Batch) -> bytes:
        if batch.status != "ended":
            raise ApiError(400, f"Batch {batch.id} has no results yet; it is {batch.status}")
        lines = ({"custom_id": name, "result": result} for name, result in batch.results.items())
        return b"".join(orjson.dumps(line) + b"\n" for line in lines)
