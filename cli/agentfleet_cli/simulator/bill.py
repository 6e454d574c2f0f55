"""What was called and what it costs, kept as integers: the second opinion on the fleet's ledger."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentfleet_cli.simulator.models import SimulatedModel, Usage


@dataclass(slots=True)
class BilledCall:
    """A call from its admission on. Its prompt is billed at once; its output when it ends or is cut."""

    request_id: str
    key: str
    model: SimulatedModel
    mark: str
    turn: int
    fingerprint: str
    usage: Usage
    batch: bool = False
    produced: int = 0
    outcome: str = "open"
    """open, done, cut (the client left or the connection broke)."""
    nano_usd: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "request_id": self.request_id,
            "key": self.key,
            "model": self.model.name,
            "mark": self.mark,
            "turn": self.turn,
            "fingerprint": self.fingerprint,
            "input_tokens": self.usage.input,
            "cache_read_tokens": self.usage.cache_read,
            "cache_write_tokens": self.usage.cache_write_5m + self.usage.cache_write_1h,
            "output_tokens": self.produced,
            "outcome": self.outcome,
            "nano_usd": self.nano_usd,
        }


@dataclass(slots=True)
class Account:
    calls: int = 0
    cut: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    nano_usd: int = 0

    def as_json(self) -> dict[str, int]:
        return {
            "calls": self.calls,
            "cut": self.cut,
            "prompt_tokens": self.prompt_tokens,
            "output_tokens": self.output_tokens,
            "nano_usd": self.nano_usd,
        }


@dataclass(slots=True)
class Bill:
    """Sums over all calls, and the newest calls one by one."""

    total: Account = field(default_factory=Account)
    by_key: dict[str, Account] = field(default_factory=dict)
    by_model: dict[str, Account] = field(default_factory=dict)
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(mark, turn) to answers that left whole."""
    refused: Counter[str] = field(default_factory=Counter)
    """Fault or status to calls that were not billed."""
    calls: deque[BilledCall] = field(default_factory=lambda: deque(maxlen=100_000))

    def open(self, call: BilledCall) -> None:
        self.calls.append(call)
        for account in self._accounts(call):
            account.calls += 1
            account.prompt_tokens += call.usage.prompt
        self._book(call, 0)

    def close(self, call: BilledCall, produced: int, *, whole: bool) -> None:
        """Once a call; `produced` output tokens have left."""
        if call.outcome != "open":
            return
        call.outcome = "done" if whole else "cut"
        for account in self._accounts(call):
            account.output_tokens += produced
            account.cut += not whole
        self._book(call, produced)
        if whole:
            self.answered[call.mark, call.turn] += 1

    def _book(self, call: BilledCall, produced: int) -> None:
        usage = Usage(
            call.usage.input,
            call.usage.cache_read,
            call.usage.cache_write_5m,
            call.usage.cache_write_1h,
            produced,
        )
        cost = call.model.cost(usage, batch=call.batch)
        for account in self._accounts(call):
            account.nano_usd += cost - call.nano_usd
        call.nano_usd = cost
        call.produced = produced

    def _accounts(self, call: BilledCall) -> tuple[Account, Account, Account]:
        return (
            self.total,
            self.by_key.setdefault(call.key, Account()),
            self.by_model.setdefault(call.model.name, Account()),
        )

    def as_json(self) -> dict[str, Any]:
        return {
            **self.total.as_json(),
            "by_key": _each(self.by_key),
            "by_model": _each(self.by_model),
            "refused": dict(self.refused),
        }

    def calls_json(self, mark: str | None) -> dict[str, Any]:
        turns: dict[str, dict[str, int]] = {}
        for (name, turn), count in self.answered.items():
            if mark is None or name == mark:
                turns.setdefault(name, {})[str(turn)] = count
        calls = [call.as_json() for call in self.calls if mark is None or call.mark == mark]
        return {"answered": turns, "calls": calls}


def _each(accounts: Mapping[str, Account]) -> dict[str, dict[str, int]]:
    return {name: account.as_json() for name, account in accounts.items()}
