"""What a Retry-After header asks for."""

import pytest

from agentfleet_core.resilience.retry_after import MAX_RETRY_AFTER_SECONDS, retry_after_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        ("0.25", 0.25),
        ("-1", 0.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", MAX_RETRY_AFTER_SECONDS),
        ("1e300", MAX_RETRY_AFTER_SECONDS),
        ("-inf", 0.0),
        ("Tue, 24 Nov 2026 16:00:00 GMT", None),
    ],
)
def test_seconds_are_read_and_nothing_else(text: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(text) == seconds
