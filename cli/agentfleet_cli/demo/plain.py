"""The demo without a terminal: scale events and phases when they change, a summary now and then."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from agentfleet_cli.output import wrapped
from agentfleet_cli.views.fleet import Json, event_line, phase, tightest, why_word
from agentfleet_cli.views.words import dollars, stopwatch

SUMMARY_SECONDS: Final = 5.0


class PlainStory:
    """`show` is called with each look; it says only what is new."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._events: set[tuple[str, str]] = set()
        self._phases: dict[str, str] = {}
        self._summed_up = float("-inf")

    def show(self, look: Json, since: datetime, waiting_for: str) -> None:
        seconds = (datetime.fromisoformat(look["at"]) - since).total_seconds()
        for event in sorted(look["events"], key=lambda event: str(event["at"])):
            key = (str(event["at"]), str(event["pool"]))
            if key not in self._events:
                self._events.add(key)
                self._say(event_line(event, since))
        for tenant in look["tenants"]:
            name, word = str(tenant["tenant"]), str(tenant["phase"])
            if self._phases.setdefault(name, "Normal") != word:
                self._phases[name] = word
                for line in wrapped(f"{stopwatch(seconds)}  ", f"{name} is {phase(tenant)}"):
                    self._say(line)
        if seconds - self._summed_up >= SUMMARY_SECONDS:
            self._summed_up = seconds
            for line in _summary(look):
                self._say(f"{stopwatch(seconds)}  {line}")


def _summary(look: Json) -> list[str]:
    """A line per pool, and one with what each tenant has spent."""
    spent = []
    for tenant in look["tenants"]:
        limit = tightest(tenant)
        spent.append(f"{tenant['tenant']} {dollars(limit['spent_nano_usd']) if limit else '-'}")
    return [*(_pool(pool) for pool in look["pools"]), f"spent: {', '.join(spent)}"]


def _pool(pool: Json) -> str:
    counters, workers = pool["counters"], pool["workers"]
    return (
        f"{pool['name']}: {workers} worker{'' if workers == 1 else 's'}, {counters['waiting']} waiting,"
        f" {counters['running']} running, {counters['ended_total']} done  {why_word(pool)}"
    )
