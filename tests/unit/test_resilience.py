"""What is tried again, after how long, and for how long at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentfleet_core.providers.anthropic.errors import classify
from agentfleet_core.queue.envelope import Claim, Envelope
from agentfleet_core.resilience.backoff import backoff_seconds, doubled_seconds
from agentfleet_core.resilience.deadlines import life_seconds_left, task_seconds_left
from agentfleet_core.resilience.verdict import Fail, Retry

ALMOST_ONE = 1 - 2**-53


class TestWhatIsTriedAgain:
    @pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529, 599])
    def test_a_status_of_the_moment_is(self, status: int) -> None:
        assert isinstance(classify(status, "api_error"), Retry)

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 405, 418, 451])
    def test_a_status_that_faults_the_request_or_the_key_is_not(self, status: int) -> None:
        verdict = classify(status, "whatever")
        assert isinstance(verdict, Fail)
        assert verdict.advice

    @pytest.mark.parametrize(
        ("status", "slows"), [(429, True), (503, True), (529, True), (500, False), (408, False)]
    )
    def test_only_a_lack_of_capacity_slows_the_others_too(self, status: int, slows: bool) -> None:
        assert classify(status, "x") == Retry(slows_fleet=slows)

    @pytest.mark.parametrize("kind", ["connection", "timeout", "stream-cut", "an_error_of_next_year"])
    def test_a_call_that_broke_without_a_status_is(self, kind: str) -> None:
        assert classify(None, kind) == Retry()

    def test_an_error_inside_a_stream_counts_by_its_type(self) -> None:
        assert classify(200, "overloaded_error") == Retry(slows_fleet=True)
        assert isinstance(classify(200, "invalid_request_error"), Fail)
        assert isinstance(classify(None, "authentication_error"), Fail)

    def test_the_providers_own_word_wins(self) -> None:
        assert classify(400, "invalid_request_error", should_retry=True) == Retry()
        assert isinstance(classify(500, "api_error", should_retry=False), Fail)
        spent = classify(429, "rate_limit_error", should_retry=False)
        assert isinstance(spent, Fail)
        assert "spend limit" in spent.advice

    def test_a_refused_key_says_where_it_is_set(self) -> None:
        verdict = classify(401, "authentication_error")
        assert isinstance(verdict, Fail)
        assert "apiKeySecretRef" in verdict.advice


class TestBackoff:
    def test_each_failure_doubles_what_the_jitter_may_reach_up_to_the_cap(self) -> None:
        reached = [backoff_seconds(n, random=ALMOST_ONE, base_seconds=1, cap_seconds=10) for n in range(1, 7)]
        assert reached == pytest.approx([1, 2, 4, 8, 10, 10])

    @given(failures=st.integers(-5, 10**9), random=st.floats(0, ALMOST_ONE), cap=st.floats(0, 1e6))
    def test_it_is_never_negative_and_never_above_the_cap(
        self, failures: int, random: float, cap: float
    ) -> None:
        assert 0 <= backoff_seconds(failures, random=random, cap_seconds=cap) <= cap

    @given(random=st.floats(0, ALMOST_ONE), after=st.floats(0, 1e4))
    def test_the_servers_time_is_the_least(self, random: float, after: float) -> None:
        waited = backoff_seconds(1, random=random, base_seconds=1, retry_after_seconds=after)
        assert after <= waited <= after + 1

    def test_those_who_were_told_the_same_time_do_not_come_back_together(self) -> None:
        both = {backoff_seconds(3, random=drawn, retry_after_seconds=20) for drawn in (0.1, 0.7)}
        assert len(both) == 2


def claim(*, admitted_ms: int = 0, started_ms: int, parked_total_ms: int = 0, expires: int = 3_600) -> Claim:
    envelope = Envelope(
        id="pool.01", tenant="acme", type="t", priority=50, revision="r", tier="fast", tier_reason="",
        input=b"{}", expires_after_seconds=expires,
    )  # fmt: skip
    return Claim(envelope, 1, 0, admitted_ms, started_ms, parked_total_ms, started_ms, {})


class TestDeadlines:
    def test_a_tasks_time_runs_from_its_first_claim_and_stands_still_while_it_is_parked(self) -> None:
        resumed = claim(started_ms=10_000, parked_total_ms=60_000)
        assert task_seconds_left(resumed, 120, now_ms=100_000) == 120 - 30
        assert task_seconds_left(claim(started_ms=10_000), 120, now_ms=140_000) == -10

    def test_a_tasks_life_runs_from_admission_through_all_parking(self) -> None:
        old = claim(admitted_ms=5_000, started_ms=10_000, parked_total_ms=60_000, expires=100)
        assert life_seconds_left(old, now_ms=65_000) == 40


def test_however_often_something_failed_there_is_a_wait() -> None:
    waits = [
        doubled_seconds(failures, base_seconds=0.25, cap_seconds=30.0) for failures in (1, 2, 3, 8, 5_000)
    ]
    assert waits == [0.25, 0.5, 1.0, 30.0, 30.0]
