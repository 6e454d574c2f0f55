"""PURE. How long to wait before the next try. The random number is the caller's."""

_MOST_DOUBLINGS = 32
"""Beyond it any cap is reached, and the power would only grow."""


def doubled_seconds(failures: int, *, base_seconds: float, cap_seconds: float) -> float:
    """`base_seconds`, doubled with each of `failures` (1 or more) after the first; `cap_seconds` at most."""
    return min(cap_seconds, base_seconds * 2.0 ** min(max(failures, 1) - 1, _MOST_DOUBLINGS))


def backoff_seconds(
    failures: int,
    *,
    random: float,
    base_seconds: float = 0.5,
    cap_seconds: float = 30.0,
    retry_after_seconds: float | None = None,
) -> float:
    """Full jitter: from 0 to `base_seconds`, doubled with each of `failures` (1 or more) after the first.

    `random` is in [0, 1). A `retry_after_seconds` of the server's is the least; the jitter comes on top, so
    that those who were told the same time do not come back together.
    """
    jitter = random * doubled_seconds(failures, base_seconds=base_seconds, cap_seconds=cap_seconds)
    return jitter if retry_after_seconds is None else max(0.0, retry_after_seconds) + jitter
