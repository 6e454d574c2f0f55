"""How long a task waited for its start: from when it could have started, not from when it was handed in."""

import pytest

from agentfleet_core.queue.envelope import Claim, Envelope
from agentfleet_core.telemetry.metrics import REGISTRY
from agentfleet_worker.attempt.tally import Tally


@pytest.mark.parametrize(("not_before_ms", "seconds"), [(0, 60.0), (58_000, 2.0), (61_000, 0.0)])
def test_a_task_for_later_waits_from_its_time_on(not_before_ms: int, seconds: float) -> None:
    pool = f"tally-{not_before_ms}"
    envelope = Envelope(
        id=f"{pool}.1", tenant="acme", type="refund", priority=50, revision="r1", tier="fast",
        tier_reason="TierDefault", input=b"{}", labels={}, not_before_ms=not_before_ms,
    )  # fmt: skip
    Tally(pool).claimed(
        Claim(
            envelope=envelope, attempt=1, failures=0, admitted_ms=0, started_ms=60_000, parked_total_ms=0,
            now_ms=60_000, journal={},
        )
    )  # fmt: skip
    assert REGISTRY.get_sample_value("agentfleet_task_start_latency_seconds_sum", {"pool": pool}) == seconds
