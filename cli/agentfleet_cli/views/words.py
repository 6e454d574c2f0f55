"""PURE. Small things said the same way everywhere: money, durations, clock times."""

from collections.abc import Mapping
from typing import Any

from agentfleet_core.api.v1alpha1.tenant_budget import Period
from agentfleet_core.budget.money import NANO_PER_USD, fixed_usd
from agentfleet_core.budget.standing import amount_words


def dollars(nano_usd: int, *, digits: int = 3) -> str:
    """`$0.182`; shorter for large sums."""
    if nano_usd >= 1_000 * NANO_PER_USD:
        digits = 0
    elif nano_usd >= 10 * NANO_PER_USD:
        digits = 2
    return f"${fixed_usd(nano_usd, digits, grouped=True)}"


def limit_amount(limit: Mapping[str, Any]) -> str:
    """Of a limit as the API gives it, as kubectl says it too: `$5.00/day`, `$100.00 in all`."""
    return amount_words(Period(limit["period"]), limit["amount_nano_usd"])


def plain_dollars(amount_usd: str) -> str:
    """A price as it was written, without a tail of zeros: `$0.50`, `$0.125`, `$5`."""
    whole, _, fraction = amount_usd.partition(".")
    fraction = fraction.rstrip("0")
    return f"${int(whole):,}" + (f".{fraction.ljust(2, '0')}" if fraction else "")


def duration(seconds: float) -> str:
    """`40ms`, `0.7s`, `41s`, `12m`, `3h`, `2d`: six characters at most."""
    if 0 < seconds < 0.095:
        return f"{seconds * 1_000:.0f}ms"
    if seconds < 10:
        return f"{seconds:.1f}s"
    for limit, unit, size in ((120, "s", 1), (7_200, "m", 60), (172_800, "h", 3_600)):
        if seconds < limit:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds / 86_400:.0f}d"


def stopwatch(seconds: float) -> str:
    """`00:31`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
