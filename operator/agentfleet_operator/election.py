"""PURE. Who may lead, decided from one look at the Lease.

As in client-go, a holder's time is judged by this process's own monotonic clock, from the moment a renewal
was first seen: clocks of different machines are never compared. `transitions` is the term that guards what a
leader publishes.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Timings:
    """A holder stops `renew_deadline_seconds` after its last renewal, before others may start at
    `lease_seconds`.
    """

    lease_seconds: float = 15.0
    renew_deadline_seconds: float = 10.0
    retry_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    holder: str
    """Empty once released."""
    transitions: int
    lease_seconds: float
    renewed: str
    """The holder's own time, opaque here: only a change of it counts."""
    resource_version: str = ""

    def same_renewal(self, other: "LeaseRecord | None") -> bool:
        return other is not None and (self.holder, self.transitions, self.renewed) == (
            other.holder,
            other.transitions,
            other.renewed,
        )


@dataclass(frozen=True, slots=True)
class Sighting:
    """The Lease as last read; `record` None: there is none. `first_seen_seconds`: when this renewal first
    appeared.
    """

    record: LeaseRecord | None
    first_seen_seconds: float


class Move(StrEnum):
    CREATE = "Create"
    """There is no Lease: make one."""
    TAKE = "Take"
    """It was released, or its holder went silent for its whole duration."""
    RENEW = "Renew"
    """It is ours."""
    WAIT = "Wait"
    """Another holds it."""


@dataclass(frozen=True, slots=True)
class Decision:
    move: Move
    transitions: int
    """The term that the move writes; that of the holder for WAIT."""
    wait_seconds: float = 0.0
    """When to look again."""


def sight(before: Sighting | None, record: LeaseRecord | None, now_seconds: float) -> Sighting:
    """What is known after a read: a renewal seen before keeps the time at which it was first seen."""
    if before is not None and record is not None and record.same_renewal(before.record):
        return Sighting(record, before.first_seen_seconds)
    return Sighting(record, now_seconds)


def decide(sighting: Sighting, me: str, timings: Timings, now_seconds: float) -> Decision:
    record = sighting.record
    if record is None:
        return Decision(Move.CREATE, 1)
    if record.holder == me:
        return Decision(Move.RENEW, record.transitions, timings.retry_seconds)
    ends_seconds = sighting.first_seen_seconds + record.lease_seconds
    if not record.holder or now_seconds >= ends_seconds:
        return Decision(Move.TAKE, record.transitions + 1)
    return Decision(Move.WAIT, record.transitions, min(timings.retry_seconds, ends_seconds - now_seconds))


def remaining_seconds(renewed_seconds: float, timings: Timings, now_seconds: float) -> float:
    """How long a leader may still act without another renewal; not above zero: it has lost the Lease."""
    return renewed_seconds + timings.renew_deadline_seconds - now_seconds
