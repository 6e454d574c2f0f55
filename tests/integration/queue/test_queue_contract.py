"""What every queue promises: the same stories on the real one and on the one in memory."""

from collections import Counter

import pytest
from tests.integration.queue.queue_rooms import (
    LEASE_MS,
    POOL,
    Room,
    ascending,
    entry,
    envelope,
    now_ms,
    settled,
    tenants,
)

from agentfleet_core.errors import InvalidInput, NotFound
from agentfleet_core.queue.envelope import Block, Event, SettleKind, SettleOutcome, TaskState
from agentfleet_core.queue.limits import ANY_REVISION, BLOCKED_NAMED, MAX_OUTPUT_BYTES
from agentfleet_core.queue.policy import PoolPolicy, TenantPolicy


def limited(version: int, digest: str) -> PoolPolicy:
    return PoolPolicy(version, tenants={"globex": TenantPolicy(limits_digest=digest)})


class TestAdmission:
    async def test_a_task_comes_out_as_it_went_in(self, room: Room) -> None:
        [task] = await room.submit(envelope(expected_cost=5_000_000, max_attempts=7))
        claim = await room.claim_one()
        assert claim.envelope == task
        assert (claim.attempt, claim.failures, claim.parked_total_ms, claim.journal) == (1, 0, 0, {})
        assert claim.started_ms == claim.now_ms >= claim.admitted_ms

    async def test_a_repeated_submit_changes_nothing_even_after_the_end(self, room: Room) -> None:
        [task] = await room.submit(envelope())
        assert await room.queue.submit([task]) == [False]
        claim = await room.claim_one()
        assert await room.queue.submit([task]) == [False]
        await room.queue.settle([settled(claim)])
        assert await room.queue.submit([task]) == [False]
        assert await room.claim() == []
        assert (await room.queue.counters()).admitted_total == 1

    async def test_an_id_from_long_ago_is_never_admitted_again(self, room: Room) -> None:
        old = envelope(id=f"{POOL}.01jd0000000000000000000000")
        assert await room.queue.submit([old]) == [False]

    @pytest.mark.parametrize("task_id", ["other.01jd0000000000000000000000", f"{POOL}.1", f"{POOL}.{0:026}"])
    async def test_what_is_no_id_of_this_pool_is_refused(self, room: Room, task_id: str) -> None:
        with pytest.raises(InvalidInput):
            await room.queue.submit([envelope(id=task_id)])

    async def test_an_input_that_is_too_large_is_refused(self, room: Room) -> None:
        with pytest.raises(InvalidInput, match="at most 262,144"):
            await room.queue.submit([envelope(input=b"x" * (256 << 10) + b"x")])

    async def test_a_task_for_later_waits_for_its_time(self, room: Room) -> None:
        [task] = await room.submit(envelope(not_before_ms=now_ms() + 60_000))
        assert await room.claim() == []
        assert await room.state(task.id) is TaskState.PARKED
        counters = await room.queue.counters()
        assert (counters.parked, counters.due, counters.waiting) == (1, 0, 0)
        assert counters.next_due_ms == task.not_before_ms
        await room.pass_time(61_000)
        assert (await room.queue.counters()).due == 1
        assert (await room.claim_one()).envelope.id == task.id


class TestCaps:
    async def test_a_tenant_runs_no_more_than_its_cap(self, room: Room) -> None:
        await room.queue.configure(PoolPolicy(1, tenants={"acme": TenantPolicy(max_running=2)}))
        await room.submit(*[envelope("acme") for _ in range(5)], *[envelope("globex") for _ in range(5)])
        claims = await room.claim(10)
        assert Counter(tenants(claims)) == {"acme": 2, "globex": 5}
        ours = next(claim for claim in claims if claim.envelope.tenant == "acme")
        await room.queue.settle([settled(ours)])
        assert tenants(await room.claim(10)) == ["acme"]

    async def test_the_pools_cap_holds_for_every_tenant(self, room: Room) -> None:
        await room.queue.configure(PoolPolicy(1, max_running_per_tenant=3))
        await room.submit(*[envelope(name) for name in ("a", "b") for _ in range(9)])
        assert Counter(tenants(await room.claim(18))) == {"a": 3, "b": 3}

    async def test_a_type_at_its_cap_does_not_hold_others_back(self, room: Room) -> None:
        await room.queue.configure(PoolPolicy(1, max_running_per_task_type=2))
        await room.submit(
            *[envelope(kind="slow") for _ in range(6)], *[envelope(kind="fast") for _ in range(2)]
        )
        claims = await room.claim(8)
        assert Counter(claim.envelope.type for claim in claims) == {"slow": 2, "fast": 2}
        assert await room.claim(8) == []

    async def test_an_older_policy_does_not_replace_a_newer_one(self, room: Room) -> None:
        assert await room.queue.configure(PoolPolicy(5, max_running_per_tenant=1))
        assert not await room.queue.configure(PoolPolicy(4))
        await room.submit(envelope(), envelope())
        assert len(await room.claim(2)) == 1

    async def test_paused_tenants_and_other_revisions_are_left(self, room: Room) -> None:
        await room.submit(envelope("acme"), envelope("globex"), envelope("globex", revision="r2"))
        assert await room.claim(9, paused_tenants=("acme", "globex")) == []
        assert tenants(await room.claim(9, revisions=("r1",), paused_tenants=("acme",))) == ["globex"]
        assert len(await room.claim(9)) == 2

    async def test_a_worker_of_the_current_revision_takes_those_of_any(self, room: Room) -> None:
        await room.submit(envelope(revision="r1"), envelope(revision="r2"))
        assert len(await room.claim(9, revisions=("r2", ANY_REVISION))) == 2
        [worker] = await room.queue.workers()
        assert worker.revision == "r2"

    async def test_a_paused_type_is_left_and_takes_no_slot_from_others(self, room: Room) -> None:
        left = await room.submit(*(envelope("acme", kind="slow") for _ in range(3)))
        await room.submit(envelope("acme", kind="fast"), envelope("globex", kind="fast"))
        await room.submit(*(envelope("initech", kind="slow") for _ in range(3)))
        claims = [claim for _ in range(3) for claim in await room.claim(1, paused_types=("slow", "other"))]
        assert sorted(tenants(claims)) == ["acme", "globex"]
        assert {claim.envelope.type for claim in claims} == {"fast"}
        assert await room.state(left[0].id) is TaskState.QUEUED
        assert len(await room.claim(9)) == 6

    async def test_a_full_type_takes_no_slot_from_others(self, room: Room) -> None:
        await room.queue.configure(PoolPolicy(1, max_running_per_task_type=1))
        await room.submit(*(envelope("acme", kind="slow") for _ in range(3)))
        assert len(await room.claim(1)) == 1
        await room.submit(envelope("globex", kind="fast"))
        assert tenants(await room.claim(1)) == ["globex"]


class TestJournal:
    async def test_a_step_is_written_once_and_its_cost_counts_once(self, room: Room) -> None:
        await room.submit(envelope())
        claim = await room.claim_one()
        first, again = entry(claim, "llm:1", b'{"n":1}', 70), entry(claim, "llm:1", b'{"n":2}', 70)
        assert await room.queue.journal([first]) == [True]
        assert await room.queue.journal([again, entry(claim, "tool:1", b'{"n":3}', 5)]) == [True, True]
        assert await room.queue.steps(claim.envelope.id) == {"llm:1": b'{"n":1}', "tool:1": b'{"n":3}'}
        await room.queue.settle([settled(claim)])
        [record] = await room.queue.get([claim.envelope.id])
        assert record is not None
        assert record.cost == (await room.queue.counters()).spent_total == 75

    async def test_money_stays_exact_far_beyond_a_float(self, room: Room) -> None:
        await room.submit(envelope())
        claim = await room.claim_one()
        cost = 9_000_000_000_000_001
        await room.queue.journal([entry(claim, "llm:1", cost=cost)])
        await room.queue.settle([settled(claim)])
        [record] = await room.queue.get([claim.envelope.id])
        assert record is not None
        assert record.cost == cost

    async def test_a_retry_replays_what_was_journaled(self, room: Room) -> None:
        await room.submit(envelope())
        claim = await room.claim_one()
        await room.queue.journal([entry(claim, "llm:1", b'{"text":"hello"}')])
        await room.queue.settle([settled(claim, SettleKind.RETRY, error=b'{"title":"x"}')])
        again = await room.claim_one()
        assert again.journal == {"llm:1": b'{"text":"hello"}'}
        assert (again.attempt, again.failures, again.started_ms) == (2, 1, claim.started_ms)

    async def test_a_stale_attempt_writes_nothing(self, room: Room) -> None:
        await room.submit(envelope())
        stale = await room.claim_one("w1")
        await room.pass_time(LEASE_MS + 1)
        current = await room.claim_one("w2")
        event = Event(stale.envelope.id, stale.attempt, "step", b"{}")
        assert await room.queue.journal([entry(stale, "a"), entry(current, "b")], [event]) == [False, True]
        assert await room.queue.settle([settled(stale)]) == [SettleOutcome.STALE]
        assert list(await room.queue.steps(stale.envelope.id)) == ["b"]
        assert await room.state(stale.envelope.id) is TaskState.RUNNING


class TestEnds:
    async def test_an_end_is_kept_and_said_once(self, room: Room) -> None:
        await room.submit(envelope())
        claim = await room.claim_one()
        done = settled(claim, output=b'{"reply":"ok"}', limitations=("no prices",), cost=40, reason="Done")
        assert await room.queue.settle([done]) == [SettleOutcome.DONE]
        before = await room.queue.counters()
        assert await room.queue.settle([done]) == [SettleOutcome.DONE]
        other = settled(claim, state=TaskState.FAILED, error=b"{}")
        assert await room.queue.settle([other]) == [SettleOutcome.STALE]
        after = await room.queue.counters()
        assert (before.ended_total, before.spent_total) == (after.ended_total, after.spent_total) == (1, 40)
        [record] = await room.queue.get([claim.envelope.id])
        assert record is not None
        assert (record.state, record.output, record.limitations) == (
            TaskState.SUCCEEDED, b'{"reply":"ok"}', ("no prices",),
        )  # fmt: skip
        assert record.ended_ms >= record.started_ms

    async def test_attempts_run_out_and_the_errors_are_kept(self, room: Room) -> None:
        [task] = await room.submit(envelope(max_attempts=2))
        for number, outcome in ((1, SettleOutcome.DONE), (2, SettleOutcome.DEAD)):
            claim = await room.claim_one()
            error = b'{"title":"try %d"}' % number
            failed = settled(claim, SettleKind.RETRY, error=error, reason="HandlerFailed")
            assert await room.queue.settle([failed, failed]) == [outcome, outcome]
        [record] = await room.queue.get([task.id])
        assert record is not None
        assert (record.state, record.failures, record.attempt) == (TaskState.DEAD, 2, 2)
        assert record.errors == (b'{"title":"try 1"}', b'{"title":"try 2"}')
        assert record.error == b'{"title":"try 2"}'

    async def test_a_retry_waits_for_its_time_and_its_deadline_stands_still(self, room: Room) -> None:
        await room.submit(envelope())
        claim = await room.claim_one()
        due = claim.now_ms + 30_000
        await room.queue.settle([settled(claim, SettleKind.RETRY, error=b"{}", not_before_ms=due)])
        assert await room.claim() == []
        await room.pass_time(30_000)
        again = await room.claim_one()
        assert again.parked_total_ms == pytest.approx(30_000, abs=2_000)
        assert again.failures == 1

    async def test_an_output_that_is_too_large_is_refused_before_it_is_sent(self, room: Room) -> None:
        await room.submit(envelope())
        claim = await room.claim_one()
        with pytest.raises(InvalidInput, match="output"):
            await room.queue.settle([settled(claim, output=b"x" * (MAX_OUTPUT_BYTES + 1))])
        assert await room.state(claim.envelope.id) is TaskState.RUNNING

    async def test_a_task_that_waits_too_long_expires(self, room: Room) -> None:
        queued, parked = await room.submit(
            envelope(expires_after_seconds=60),
            envelope(expires_after_seconds=60, not_before_ms=now_ms() + 50_000),
        )
        await room.pass_time(61_000)
        assert await room.claim(5) == []
        for record in await room.queue.get([queued.id, parked.id]):
            assert record is not None
            assert (record.state, record.reason) == (TaskState.FAILED, "Expired")
            assert b"expired" in record.error

    async def test_deleting_erases_the_content_and_keeps_the_cost(self, room: Room) -> None:
        [task] = await room.submit(envelope())
        assert not await room.queue.delete(task.id)
        claim = await room.claim_one()
        await room.queue.journal([entry(claim, "llm:1", b'{"text":"secret"}', 12)])
        await room.queue.settle([settled(claim, output=b'{"reply":"secret"}')])
        assert await room.queue.delete(task.id)
        [record] = await room.queue.get([task.id])
        assert record is not None
        assert (record.state, record.cost, record.deleted) == (TaskState.SUCCEEDED, 12, True)
        assert (record.envelope.input, record.output, await room.queue.steps(task.id)) == (b"", b"", {})

    async def test_an_unknown_task_is_nothing(self, room: Room) -> None:
        unknown = envelope().id
        assert await room.queue.get([unknown]) == [None]
        assert not await room.queue.cancel(unknown, "Asked")
        assert not await room.queue.delete(unknown)
        assert await room.queue.steps(unknown) == {}


class TestParking:
    async def test_a_park_is_no_failure_and_blocks_the_tenant(self, room: Room) -> None:
        await room.submit(*[envelope("globex") for _ in range(3)], envelope("acme"))
        claims = await room.claim(4)
        poor = [claim for claim in claims if claim.envelope.tenant == "globex"]
        await room.submit(envelope("globex"), envelope("acme"))
        due = poor[0].now_ms + 3_600_000
        parked = [
            settled(
                poor[0],
                SettleKind.PARK,
                not_before_ms=due,
                block_tenant=True,
                limit="day",
                reason="BudgetExhausted",
            )
        ]
        assert await room.queue.settle(parked) == [SettleOutcome.DONE]
        assert tenants(await room.claim(9)) == ["acme"]
        counters = await room.queue.counters()
        assert (counters.waiting, counters.blocked, counters.parked) == (0, 1, 1)
        assert counters.blocked_tenants == {"globex": 2}, "the parked one and the one in the queue"
        assert counters.blocks == {"globex": Block("day", due)}
        assert counters.next_due_ms == due
        [record] = await room.queue.get([poor[0].envelope.id])
        assert record is not None
        assert (record.reason, record.failures, record.not_before_ms) == ("BudgetExhausted", 0, due)

    async def test_a_blocked_tenants_task_in_the_queue_tells_what_it_waits_for(self, room: Room) -> None:
        await room.submit(envelope("globex"))
        claim = await room.claim_one()
        queued, short = envelope("globex"), envelope("globex", expires_after_seconds=60)
        await room.submit(queued, short, envelope("acme"))
        due, why = claim.now_ms + 3_600_000, "BudgetExhausted: $5.00 of $5.00 are spent for day"
        block = settled(claim, SettleKind.PARK, not_before_ms=due, block_tenant=True, reason=why)
        await room.queue.settle([block])

        first, second = await room.queue.get([queued.id, short.id])
        assert first is not None
        assert second is not None
        assert (first.state, first.not_before_ms, first.reason) == (TaskState.PARKED, due, why)
        assert second.not_before_ms == second.admitted_ms + 60_000, "it expires before that"
        assert await room.queue.cancel(short.id, "Asked")

        await room.queue.unblock("globex")
        [again] = await room.queue.get([queued.id])
        assert again is not None
        assert (again.state, again.not_before_ms, again.reason) == (TaskState.QUEUED, 0, "")
        assert len(await room.claim(9)) == 3

    async def test_behind_a_block_without_an_end_a_task_waits_until_it_expires(self, room: Room) -> None:
        await room.submit(envelope("globex"))
        claim = await room.claim_one()
        [queued] = await room.submit(envelope("globex", expires_after_seconds=60))
        await room.queue.settle([settled(claim, SettleKind.PARK, block_tenant=True)])
        assert (await room.queue.counters()).blocks == {"globex": Block("", 0)}
        [record] = await room.queue.get([queued.id])
        assert record is not None
        assert (record.state, record.not_before_ms) == (TaskState.PARKED, record.admitted_ms + 60_000)

    async def test_a_block_that_is_over_is_told_no_more(self, room: Room) -> None:
        await room.submit(envelope("globex"))
        claim = await room.claim_one()
        [queued] = await room.submit(envelope("globex"))
        block = settled(claim, SettleKind.PARK, not_before_ms=claim.now_ms + 5_000, block_tenant=True)
        await room.queue.settle([block])
        assert await room.state(queued.id) is TaskState.PARKED
        await room.pass_time(5_001)
        assert await room.state(queued.id) is TaskState.QUEUED

    async def test_unblocking_lets_all_of_the_tenant_go_on(self, room: Room) -> None:
        await room.submit(*[envelope("globex") for _ in range(3)])
        first, second = await room.claim(2)
        far = first.now_ms + 3_600_000
        await room.queue.settle([
            settled(first, SettleKind.PARK, not_before_ms=far, block_tenant=True),
            settled(second, SettleKind.PARK),
        ])  # fmt: skip
        assert await room.claim(9) == []
        await room.queue.unblock("globex")
        claims = await room.claim(9)
        assert len(claims) == 3
        assert {claim.failures for claim in claims} == {0}

    async def test_other_limits_let_all_of_the_tenant_go_on_and_the_same_nothing(self, room: Room) -> None:
        await room.queue.configure(limited(1, "five"))
        await room.submit(*[envelope("globex") for _ in range(3)])
        first, alone = await room.claim(2)
        await room.queue.settle([
            settled(first, SettleKind.PARK, block_tenant=True, limit="total", limits_digest="five"),
            settled(alone, SettleKind.PARK, limit="total", limits_digest="five"),
        ])  # fmt: skip
        await room.queue.configure(limited(2, "five"))
        assert await room.claim(9) == []
        await room.queue.configure(limited(3, "nine"))
        assert len(await room.claim(9)) == 3

    async def test_limits_that_were_gone_meanwhile_are_others(self, room: Room) -> None:
        await room.queue.configure(limited(1, "five"))
        await room.submit(envelope("globex"))
        block = settled(await room.claim_one(), SettleKind.PARK, block_tenant=True, limits_digest="five")
        await room.queue.settle([block])
        await room.queue.configure(PoolPolicy(2))
        assert await room.claim() == []
        await room.queue.configure(limited(3, "five"))
        assert len(await room.claim()) == 1

    async def test_a_refusal_by_limits_that_are_no_more_blocks_nobody(self, room: Room) -> None:
        await room.queue.configure(limited(2, "nine"))
        await room.submit(envelope("globex"), envelope("globex"))
        claim = await room.claim_one()
        late = settled(claim, SettleKind.PARK, block_tenant=True, limit="total", limits_digest="five")
        await room.queue.settle([late])
        counters = await room.queue.counters()
        assert (counters.waiting, counters.parked, counters.blocked_tenants) == (1, 1, {})
        assert counters.next_due_ms > 0, "it is tried again, although the old limit would never reset"
        await room.pass_time(1_001)
        assert len(await room.claim(9)) == 2

    async def test_a_blocked_tenant_goes_on_by_itself_when_the_time_has_come(self, room: Room) -> None:
        await room.submit(envelope("globex"), envelope("globex"))
        claim = await room.claim_one()
        due = claim.now_ms + 5_000
        await room.queue.settle([settled(claim, SettleKind.PARK, not_before_ms=due, block_tenant=True)])
        assert await room.claim(9) == []
        await room.pass_time(5_001)
        assert len(await room.claim(9)) == 2

    async def test_of_many_blocked_tenants_some_are_named_and_all_are_counted(self, room: Room) -> None:
        names = [f"tenant-{number}" for number in range(BLOCKED_NAMED + 2)]
        await room.submit(*map(envelope, names))
        blocks = [settled(one, SettleKind.PARK, block_tenant=True) for one in await room.claim(len(names))]
        await room.submit(*map(envelope, names))
        await room.queue.settle(blocks)
        counters = await room.queue.counters()
        assert len(counters.blocked_tenants) == BLOCKED_NAMED
        assert (counters.blocked, counters.blocked_tasks) == (len(names), 2 * len(names))

    async def test_a_task_that_runs_again_tells_no_more_why_it_waited(self, room: Room) -> None:
        await room.submit(envelope())
        await room.queue.settle([settled(await room.claim_one(), SettleKind.RETRY, reason="HandlerFailed")])
        again = await room.claim_one()
        [record] = await room.queue.get([again.envelope.id])
        assert record is not None
        assert (record.state, record.reason) == (TaskState.RUNNING, "")

    async def test_a_retry_keeps_its_time_when_the_tenant_is_unblocked(self, room: Room) -> None:
        await room.submit(envelope())
        claim = await room.claim_one()
        later = claim.now_ms + 60_000
        await room.queue.settle([settled(claim, SettleKind.RETRY, error=b"{}", not_before_ms=later)])
        await room.queue.unblock("acme")
        assert await room.claim() == []

    async def test_a_task_handed_back_is_claimed_at_once(self, room: Room) -> None:
        await room.submit(envelope())
        claim = await room.claim_one("w1")
        back = settled(claim, SettleKind.HAND_BACK)
        assert await room.queue.settle([back, back]) == [SettleOutcome.DONE, SettleOutcome.DONE]
        again = await room.claim_one("w2")
        assert (again.attempt, again.failures) == (2, 0)


class TestLeases:
    async def test_a_renewed_lease_holds_and_an_ended_one_gives_the_task_away(self, room: Room) -> None:
        await room.submit(envelope())
        claim = await room.claim_one("w1")
        await room.pass_time(LEASE_MS - 10_000)
        assert await room.queue.extend("w1", {claim.envelope.id: 1}, lease_ms=LEASE_MS) == []
        await room.pass_time(LEASE_MS - 10_000)
        assert await room.claim(1, "w2") == []
        await room.pass_time(20_000)
        assert (await room.queue.counters()).orphaned == 1
        again = await room.claim_one("w2")
        assert (again.attempt, again.failures) == (2, 1)
        assert await room.queue.extend("w1", {claim.envelope.id: 1}, lease_ms=LEASE_MS) == [claim.envelope.id]

    async def test_a_task_that_kills_its_workers_ends_dead(self, room: Room) -> None:
        [task] = await room.submit(envelope(max_attempts=2))
        attempts = 0
        while await room.claim(1):
            attempts += 1
            await room.pass_time(LEASE_MS + 1)
        [record] = await room.queue.get([task.id])
        assert record is not None
        assert (record.state, record.attempt, record.failures) == (TaskState.DEAD, attempts, attempts)
        assert attempts == 12, "ten lost leases are forgiven, then max_attempts counts"
        assert b"worker-lost" in record.error

    async def test_a_draining_worker_claims_nothing_and_a_forgotten_one_is_gone(self, room: Room) -> None:
        await room.submit(envelope(), envelope())
        await room.claim_one("w1")
        await room.queue.drain(["w1"])
        assert await room.claim(1, "w1") == []
        [worker] = await room.queue.workers()
        assert (worker.id, worker.held, worker.draining) == ("w1", 1, True)
        await room.queue.forget("w1")
        assert await room.queue.workers() == []
        assert (await room.queue.counters()).running == 1


class TestCancel:
    async def test_a_queued_task_never_starts(self, room: Room) -> None:
        first, second, third = await room.submit(envelope(), envelope(), envelope())
        assert await room.queue.cancel(second.id, "Asked")
        assert await room.queue.cancel(second.id, "Asked"), "the same again is the same answer"
        assert (await room.queue.counters()).waiting == 2
        assert [claim.envelope.id for claim in await room.claim(3)] == [first.id, third.id]
        assert await room.state(second.id) is TaskState.CANCELLED

    async def test_a_cancelled_task_waits_no_more_when_it_comes_to_the_head(self, room: Room) -> None:
        _, cancelled = await room.submit(envelope(), envelope())
        await room.next_millisecond()
        [last] = await room.submit(envelope())
        assert await room.queue.cancel(cancelled.id, "Asked")
        await room.claim_one()
        [record] = await room.queue.get([last.id])
        assert record is not None
        assert (await room.queue.counters()).oldest_waiting_ms == record.admitted_ms

    async def test_a_running_attempt_learns_it_and_changes_nothing(self, room: Room) -> None:
        await room.submit(envelope())
        claim = await room.claim_one()
        assert await room.queue.cancel(claim.envelope.id, "Asked")
        assert await room.queue.journal([entry(claim, "a")]) == [False]
        assert await room.queue.extend("w1", {claim.envelope.id: 1}, lease_ms=LEASE_MS) == [claim.envelope.id]
        assert await room.queue.settle([settled(claim)]) == [SettleOutcome.STALE]
        assert await room.state(claim.envelope.id) is TaskState.CANCELLED

    async def test_a_parked_task_and_one_that_has_ended(self, room: Room) -> None:
        [task] = await room.submit(envelope(not_before_ms=now_ms() + 60_000))
        assert await room.queue.cancel(task.id, "Asked")
        await room.pass_time(61_000)
        assert await room.claim() == []
        await room.submit(envelope())
        done = await room.claim_one()
        await room.queue.settle([settled(done)])
        assert not await room.queue.cancel(done.envelope.id, "Asked")


class TestUnsettledEnds:
    async def test_however_many_tasks_expire_none_of_them_starts(self, room: Room) -> None:
        tasks = await room.submit(*[envelope(expires_after_seconds=60) for _ in range(120)])
        await room.pass_time(61_000)
        assert await room.claim(120) == []
        assert {await room.state(task.id) for task in tasks} == {TaskState.FAILED}

    async def test_what_no_worker_settles_is_counted_by_the_queue_once(self, room: Room) -> None:
        [killer] = await room.submit(envelope(kind="killer", max_attempts=1))
        while await room.claim():
            await room.pass_time(LEASE_MS + 1)
        assert await room.state(killer.id) is TaskState.DEAD
        [late] = await room.submit(envelope(kind="late", expires_after_seconds=60))
        await room.pass_time(61_000)
        assert await room.claim() == []
        assert await room.state(late.id) is TaskState.FAILED
        for _ in range(2):
            [unwanted] = await room.submit(envelope(kind="unwanted"))
            assert await room.queue.cancel(unwanted.id, "Asked")
            assert await room.queue.cancel(unwanted.id, "Asked"), "the same again counts nothing"
        await room.submit(envelope())
        await room.queue.settle([settled(await room.claim_one())])
        assert (await room.queue.counters()).unsettled_ends == {
            ("dead", "killer"): 1, ("failed", "late"): 1, ("cancelled", "unwanted"): 2,
        }  # fmt: skip


class TestFollowing:
    async def test_a_follower_sees_the_whole_story_and_can_resume(self, room: Room) -> None:
        await room.submit(envelope())
        claim = await room.claim_one()
        task_id = claim.envelope.id
        step = Event(task_id, 1, "step", b'{"name":"facts"}')
        await room.queue.journal([entry(claim, "facts")], [step])
        await room.queue.settle([settled(claim, SettleKind.RETRY, error=b"{}")])
        await room.queue.settle([settled(await room.claim_one())])
        events = [event async for event in room.queue.follow(task_id)]
        assert [(event.type, event.attempt) for event in events] == [
            ("started", 1), ("step", 1), ("retry", 1), ("reset", 2), ("ended", 2),
        ]  # fmt: skip
        assert ascending([int(event.id) for event in events])
        rest = [event async for event in room.queue.follow(task_id, events[2].id)]
        assert rest == events[3:]
        assert [event.type async for event in room.queue.follow(task_id, events[-1].id)] == ["ended"]

    async def test_a_follower_is_woken_by_what_comes(self, room: Room) -> None:
        await room.submit(envelope())
        claim = await room.claim_one()
        following = room.queue.follow(claim.envelope.id)
        assert (await anext(following)).type == "started"
        await room.queue.journal([], [Event(claim.envelope.id, 1, "delta", b'{"text":"he"}')])
        assert (await anext(following)).data == b'{"text":"he"}'
        await room.queue.settle([settled(claim)])
        assert [event.type async for event in following] == ["ended"]

    async def test_an_unknown_task_cannot_be_followed(self, room: Room) -> None:
        with pytest.raises(NotFound):
            await anext(room.queue.follow(envelope().id))


class TestDoorbell:
    async def test_work_that_is_there_rings_at_once(self, room: Room) -> None:
        await room.submit(envelope())
        await room.queue.wait(30)
        assert len(await room.claim()) == 1
