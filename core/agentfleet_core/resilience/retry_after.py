"""PURE. The Retry-After header, as a provider or a proxy sends it."""

import math

MAX_RETRY_AFTER_SECONDS = 3_600.0
"""A longer wait is asked for again after this one; a broken proxy's number must not stop a tier for ever."""


def retry_after_seconds(text: str | None) -> float | None:
    """None: it says nothing, or a date, which another clock than ours would have to read."""
    try:
        seconds = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS) if not math.isnan(seconds) else None
