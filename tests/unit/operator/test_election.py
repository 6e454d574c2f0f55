"""Who leads, decided from one look at the Lease; and a leader that stops in time."""

import asyncio
import selectors

import pytest

from agentfleet_core.errors import Conflict, LeadershipLost, Unavailable
from agentfleet_operator.election import (
    Decision,
    LeaseRecord,
    Move,
    Sighting,
    Timings,
    decide,
    remaining_seconds,
    sight,
)
from agentfleet_operator.leadership import Leadership

TIMINGS = Timings(lease_seconds=15, renew_deadline_seconds=10, retry_seconds=2)


def held_by(holder: str, *, term: int = 3, renewed: str = "t0") -> LeaseRecord:
    return LeaseRecord(holder, term, 15.0, renewed)


@pytest.mark.parametrize(
    ("record", "seen_at", "now", "expected"),
    [
        (None, 100, 100, Decision(Move.CREATE, 1)),
        (held_by("me"), 100, 103, Decision(Move.RENEW, 3, 2)),
        (held_by("other"), 100, 103, Decision(Move.WAIT, 3, 2)),
        (held_by("other"), 100, 114, Decision(Move.WAIT, 3, 1)),
        (held_by("other"), 100, 115, Decision(Move.TAKE, 4)),
        (held_by(""), 100, 100, Decision(Move.TAKE, 4)),
    ],
    ids=["no lease", "ours", "held", "nearly over", "its holder went silent", "released"],
)
def test_a_look_at_the_lease_decides(
    record: LeaseRecord | None, seen_at: float, now: float, expected: Decision
) -> None:
    assert decide(Sighting(record, seen_at), "me", TIMINGS, now) == expected


def test_only_a_new_renewal_starts_the_holders_time_anew() -> None:
    first = sight(None, held_by("other", renewed="t0"), 100)
    again = sight(first, held_by("other", renewed="t0"), 104)
    renewed = sight(again, held_by("other", renewed="t1"), 106)

    assert again.first_seen_seconds == 100
    assert renewed.first_seen_seconds == 106


def test_a_leader_stops_before_another_may_start() -> None:
    assert remaining_seconds(100, TIMINGS, 109) == 1
    assert remaining_seconds(100, TIMINGS, 110) <= 0
    assert TIMINGS.renew_deadline_seconds < TIMINGS.lease_seconds


class MemoryLease:
    """A Lease in memory, with the API server's conflict check and a switch that makes it unreachable."""

    def __init__(self) -> None:
        self.record: LeaseRecord | None = None
        self.version = 0
        self.reachable = True

    def _check(self) -> None:
        if not self.reachable:
            raise Unavailable("refused")

    async def read(self) -> LeaseRecord | None:
        self._check()
        return self.record

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        self._check()
        if self.record is not None:
            raise Conflict("exists")
        return self._store(record)

    async def replace(self, record: LeaseRecord) -> LeaseRecord:
        self._check()
        if self.record is None or record.resource_version != self.record.resource_version:
            raise Conflict("changed")
        return self._store(record)

    def stamp(self) -> str:
        return f"t{self.version}"

    def _store(self, record: LeaseRecord) -> LeaseRecord:
        self.version += 1
        self.record = LeaseRecord(
            record.holder, record.transitions, record.lease_seconds, record.renewed, str(self.version)
        )
        return self.record


FAST = Timings(lease_seconds=0.3, renew_deadline_seconds=0.15, retry_seconds=0.01)


async def test_one_of_two_leads_and_the_other_follows_with_the_next_term() -> None:
    lease = MemoryLease()
    first, second = Leadership(lease, "a", FAST), Leadership(lease, "b", FAST)
    assert await first.acquire() == 1
    follower = asyncio.create_task(second.acquire())
    holding = asyncio.create_task(first.hold())
    await asyncio.sleep(0)
    assert not second.leading

    holding.cancel()
    await first.release()

    assert await follower == 2
    assert first.term == 0


async def test_a_leader_that_cannot_renew_stops_at_its_deadline() -> None:
    lease = MemoryLease()
    leader = Leadership(lease, "a", FAST)
    await leader.acquire()
    lease.reachable = False

    with pytest.raises(LeadershipLost, match="deadline"):
        await leader.hold()
    assert not leader.leading


async def test_a_leader_that_another_replaced_stops_at_once() -> None:
    lease = MemoryLease()
    leader = Leadership(lease, "a", FAST)
    await leader.acquire()
    lease._store(held_by("usurper", term=9))

    with pytest.raises(LeadershipLost, match="usurper"):
        await leader.hold()


async def test_a_write_by_someone_else_on_our_lease_is_survived() -> None:
    lease = MemoryLease()
    leader = Leadership(lease, "a", FAST)
    await leader.acquire()
    assert lease.record is not None
    lease._store(lease.record)

    await leader.raise_term(7)

    assert leader.term == 7
    assert lease.record.transitions == 7


class VirtualTime(selectors.DefaultSelector):
    """Where a loop would wait, its clock jumps instead: no machine is too slow for it."""

    now_seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nothing would ever happen"
        self.now_seconds += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = VirtualTime()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_seconds


async def seconds_without_a_leader(lived_seconds: float, followed_seconds: float) -> float:
    """From the death of a leader to the next one's term; the follower first looks at its time."""
    lease, clock = MemoryLease(), asyncio.get_running_loop().time
    first, second = (Leadership(lease, name, TIMINGS, monotonic=clock) for name in ("a", "b"))
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    await asyncio.sleep(followed_seconds)
    following = asyncio.create_task(second.acquire())
    await asyncio.sleep(lived_seconds)
    holding.cancel()
    died_at = clock()
    assert await following == 2
    return clock() - died_at


@pytest.mark.parametrize("lived_seconds", [0.1, 0.7, 1.3, 1.9, 2.0, 3.7, 31.0])
@pytest.mark.parametrize("followed_seconds", [0.0, 0.5, 1.0, 1.5, 1.99])
def test_a_silent_leader_is_replaced_within_its_lease_and_two_retries(
    lived_seconds: float, followed_seconds: float
) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        took = runner.run(seconds_without_a_leader(lived_seconds, followed_seconds))
    least = TIMINGS.lease_seconds - TIMINGS.retry_seconds  # its last renewal is at most a retry ago
    assert least - 0.001 <= took <= TIMINGS.lease_seconds + 2 * TIMINGS.retry_seconds
