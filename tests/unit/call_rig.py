"""A metered transport without I/O: a ledger in memory, a wire that answers what a test wrote, and a provider
of another kind than Anthropic that is no more than the port asks for.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson

from agentfleet_core.api.v1alpha1 import ModelTierSpec, TaskTypeSpec, TenantBudgetSpec
from agentfleet_core.budget.prices import Demand, Rates, worst_case
from agentfleet_core.budget.room import Room
from agentfleet_core.budget.usage import Report, Usage
from agentfleet_core.errors import CostUnknown
from agentfleet_core.fleet.config import CompiledTenant, FleetConfig
from agentfleet_core.fleet.pauses import Pauses
from agentfleet_core.fleet.throttles import Throttles
from agentfleet_core.keyspace.connect import channels_of, connect
from agentfleet_core.providers.port import Count, Provider, StreamError
from agentfleet_core.queue.envelope import Claim, Envelope, Event, JournalEntry, Settlement
from agentfleet_core.queue.step import StepRecord
from agentfleet_core.resilience.verdict import Fail, Retry, Verdict
from agentfleet_core.settings import FleetId
from agentfleet_core.testing.memory_ledger import MemoryLedger
from agentfleet_worker.attempt.attempt import Attempt
from agentfleet_worker.attempt.background import Background
from agentfleet_worker.calls.call import CALL, PAYER, Call
from agentfleet_worker.calls.counts import Counts
from agentfleet_worker.calls.health import Health
from agentfleet_worker.calls.holds import OpenHolds
from agentfleet_worker.calls.loop import CallLoop
from agentfleet_worker.calls.money import CallMoney
from agentfleet_worker.calls.progress import Progress
from agentfleet_worker.calls.routes import ProviderKeys, Routes
from agentfleet_worker.calls.transport import MeteredTransport
from agentfleet_worker.calls.tries import Tries

ENVELOPE = Envelope("p.01kavqz8s3h6x2m4n7p9q1r5t8", "acme", "greet", 50, "r1", "fast", "", b"{}")
TYPE = TaskTypeSpec.model_validate(
    {"pool": "p", "handler": "a:b", "tier": {"default": "fast", "lowest": "fast", "highest": "fast"},
     "timeouts": {"stepSeconds": 60, "llmCallSeconds": 30}}
)  # fmt: skip
BAND = {"input": "1", "output": "1", "cacheRead": "1", "cacheWrite5m": "1", "cacheWrite1h": "1"}
EVER, NEVER = "1970-01-01", "2999-01-01"
MICRO = 1_000
"""Nano-USD for a token, in or out, at these prices."""


class Echo:
    """Implements `Provider`: a POST of {"model", "say", "most"} is answered with lines of JSON. Not the
    Messages API in anything.
    """

    url = "https://echo.example"
    paid_path = "/say"

    def is_free(self, method: str, path: str) -> bool:
        return (method, path) == ("GET", "/voices")

    def key_header(self, key: str) -> tuple[bytes, bytes]:
        return b"authorization", b"Bearer " + key.encode()

    def addressed(self, request: Mapping[str, Any], model: str, *, another: bool) -> dict[str, Any]:
        return {**request, "model": model}

    def worst_cost(
        self, request: Mapping[str, Any], payload: bytes, rates: Rates, counted: int | None = None
    ) -> int:
        if "most" not in request:
            raise CostUnknown("most must bound the answer", field="most")
        tokens = len(payload) if counted is None else counted
        return worst_case(Demand(prompt_tokens=tokens, output_tokens=request["most"]), rates)

    def count(self, request: Mapping[str, Any]) -> Count | None:
        return Count("/count", orjson.dumps(request["say"]))

    def counted(self, answer: bytes) -> int:
        return int(answer)

    def report(self, usage: Mapping[str, Any]) -> Report:
        return Report((Usage(usage["heard"], usage["said"]),))

    def reader(self) -> "EchoReader":
        return EchoReader()

    def stream(self, message: Mapping[str, Any]) -> Iterator[bytes]:
        yield orjson.dumps(message) + b"\n"

    def refusal(self, status: int, body: bytes) -> tuple[str, str]:
        return "sore_throat", body.decode()

    def as_refusal(self, kind: str, message: str) -> tuple[int, bytes]:
        return 410, message.encode()

    def should_retry(self, headers: Mapping[str, str]) -> bool | None:
        return False if "x-hopeless" in headers else None

    def verdict(self, status: int | None, kind: str, *, should_retry: bool | None = None) -> Verdict:
        final = status == 400 or should_retry is False or kind == "mute"
        return Fail("speak up") if final else Retry(slows_fleet=status == 429)


class EchoReader:
    def __init__(self) -> None:
        self.message: dict[str, Any] | None = None
        self.usage: Mapping[str, Any] = {}
        self.complete = False
        self._rest = b""

    def feed(self, data: bytes) -> str:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            event = orjson.loads(line)
            if "error" in event:
                raise StreamError(event.get("kind", "hoarse"), event["error"])
            if "usage" in event:
                self.usage, self.complete = event["usage"], True
                self.message = {**(self.message or {}), "usage": self.usage}
            else:
                self.message = event
        return ""


def said(text: str, *, heard: int = 5, tokens: int = 3) -> bytes:
    usage = {"heard": heard, "said": tokens}
    return orjson.dumps({"text": text}) + b"\n" + orjson.dumps({"usage": usage}) + b"\n"


@dataclass(slots=True)
class Wire(httpx2.AsyncBaseTransport):
    """Answers what the test wrote; keeps what left."""

    answer: Callable[[httpx2.Request], httpx2.Response]
    sent: list[httpx2.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append(request)
        return self.answer(request)


class Switchboard:
    """A follower whose pause a test flips."""

    def __init__(self, *models: str, amount: str = "1.00", unpriced: str = "") -> None:
        self.on: str | None = None
        self.throttles: Throttles = {}
        budget = {"tenant": "acme", "limits": [{"name": "total", "period": "Total", "amount": amount}]}
        since = {name: NEVER if name == unpriced else EVER for name in models or ("small",)}
        listed = [
            {"name": name, "prices": [{"effectiveFrom": day, "bands": [BAND]}]} for name, day in since.items()
        ]
        key = {"name": "provider", "key": "api-key"}
        tier = {"rank": 1, "models": listed, "provider": {"apiKeySecretRef": key}}
        self.config = FleetConfig(
            install="test", namespace="ns", pools={}, task_types={},
            tiers={"fast": ModelTierSpec.model_validate(tier)},
            tenants={"acme": CompiledTenant(budget="acme", spec=TenantBudgetSpec.model_validate(budget))},
        )  # fmt: skip

    @property
    def pauses(self) -> Pauses:
        raise AssertionError("a paid call asks for its own pause")

    def paused(
        self, *, pool: str | None = None, tenant: str | None = None, task_type: str | None = None
    ) -> str | None:
        return self.on


@dataclass(slots=True)
class Journal:
    """Implements `Commit`, and is the journal of the one task."""

    entries: list[JournalEntry] = field(default_factory=list)

    @property
    def cost(self) -> int:
        return sum(entry.cost for entry in self.entries)

    async def journal(self, entry: JournalEntry, events: Sequence[Event] = ()) -> bool:
        self.entries.append(entry)
        return True

    def emit(self, event: Event) -> None:
        raise AssertionError("nobody streams here")

    def settle(self, settlement: Settlement, count: Any = None) -> Any:
        raise AssertionError("the task does not end here")


class Task:
    """Implements `Payer`."""

    def __init__(self) -> None:
        claim = Claim(ENVELOPE, 1, 0, 1, 1_000, 0, 1_000, {})
        self.running = Attempt(claim, TYPE, time.monotonic())
        self.kept: dict[str, StepRecord] = {}
        self.task_id, self.task_type = ENVELOPE.id, ENVELOPE.type
        self.tenant, self.attempt = ENVELOPE.tenant, 1

    def key_of(self, name: str) -> str:
        return name

    def recorded(self, key: str) -> StepRecord | None:
        return self.kept.get(key)

    async def write(self, key: str, value: bytes, record: StepRecord) -> None:
        self.kept[key] = record


class Calls:
    """The parts of a worker that make calls, wired as a worker wires them."""

    def __init__(
        self, folder: Path, wire: Wire, follower: Switchboard, *, ledger: MemoryLedger | None = None,
        provider: Provider | None = None,
    ) -> None:  # fmt: skip
        self.key = folder / "provider" / "api-key"
        self.key.parent.mkdir(parents=True)
        self.key.write_text("secret")
        self.task, self.wire, self.journal, self.background = Task(), wire, Journal(), Background()
        self.told: list[tuple[str, str, float]] = []
        self.health = Health(follower, self._tell, self.background)
        self.ledger = ledger or MemoryLedger()
        nobody = connect("redis://127.0.0.1:1")  # only who waits for another's settle listens to it
        room = Room(self.ledger, channels_of(nobody), FleetId("test", "ns"))
        money = CallMoney(
            self.ledger, room, follower, OpenHolds(), self.health, self.background, pool="p", lease_ms=3_000
        )
        self.routes = Routes(follower, ProviderKeys(folder), {"Anthropic": provider or Echo()})
        self.counts = Counts(wire)
        tries = Tries(wire, money, self.counts, self.journal, Progress(self.journal.emit), self.background)
        loop = CallLoop(self.routes, money, self.health, self.counts, tries)
        self.transport = MeteredTransport(self.routes, loop, wire)

    async def _tell(self, tier: str, model: str, seconds: float) -> None:
        self.told.append((tier, model, seconds))

    async def ask(
        self, path: str = "/say", *, name: str = "answer", tier: str | None = None, **body: Any
    ) -> httpx2.Response:
        """As a step of the task's own code does it."""
        request = httpx2.Request("POST", f"https://anywhere{path}", content=orjson.dumps(body))
        payer, call = PAYER.set(self.task), CALL.set(Call(name, name, tier))
        try:
            answer = await self.transport.handle_async_request(request)
            await answer.aread()
            return answer
        finally:
            CALL.reset(call)
            PAYER.reset(payer)
