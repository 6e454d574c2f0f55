"""PURE. Money is an int of nano-USD: exact to add and compare, and exact in Redis up to 2^53 ($9,007,199).

Forbidden here and in whatever handles money: float.
"""

import re
from decimal import ROUND_HALF_UP, Decimal

from agentfleet_core.errors import InvalidInput

NANO_PER_USD = 1_000_000_000
MAX_NANO_USD = 2**53 - 1
"""Redis scripts compute with doubles; beyond this they would round."""

_AMOUNT = re.compile(r"([0-9]{1,7})(?:\.([0-9]{1,9}))?")
_DECIMALS = 9
_PEOPLE_DIGITS = 3
"""Significant digits of an amount below a dollar, as people read it."""
_ADDED_UP_DIGITS = 6


def nano_usd(text: str) -> int:
    """`"1.25"` (USD) as 1_250_000_000. Raises `InvalidInput` for what is no exact amount."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f'"{text}" is not an amount in USD; write a decimal such as "1.25", with at most 9 decimals'
        )
    whole, fraction = match.groups(default="")
    nano = int(whole) * NANO_PER_USD + int(fraction.ljust(_DECIMALS, "0"))
    if nano > MAX_NANO_USD:
        raise InvalidInput(f'"{text}" USD is too large; lower it to {decimal_usd(MAX_NANO_USD)} or less')
    return nano


def exact_nano(nano: int) -> int:
    """The amount, if Redis holds it exactly. Raises `InvalidInput`: a negative hold would make room."""
    if 0 <= nano <= MAX_NANO_USD:
        return nano
    raise InvalidInput(f"{nano} nano-USD is no amount; it must be between 0 and {MAX_NANO_USD}")


def decimal_usd(nano: int) -> str:
    """The exact decimal, for machines: 31_200_000 as `"0.0312"`, 2 * 10^9 as `"2"`."""
    whole, fraction = divmod(abs(nano), NANO_PER_USD)
    digits = f"{fraction:0{_DECIMALS}d}".rstrip("0")
    return f"{_sign(nano)}{whole}.{digits}" if digits else f"{_sign(nano)}{whole}"


def exact_usd(nano: int) -> str:
    """For people who add up: every digit, six decimals at least: `$0.031200`, `$0.0000098`."""
    whole, _, fraction = decimal_usd(abs(nano)).partition(".")
    return f"{_sign(nano)}${int(whole):,}.{fraction.ljust(_ADDED_UP_DIGITS, '0')}"


def usd(nano: int) -> str:
    """For people: `$41.20`, `$1,204.00`, `$0.182`, `$0.0312`; rounded half up, never below two decimals."""
    size = abs(nano)
    decimals = 2
    if 0 < size < NANO_PER_USD:
        decimals = max(2, min(_DECIMALS, _PEOPLE_DIGITS + _DECIMALS - len(str(size))))
    rounded = Decimal(size).scaleb(-_DECIMALS).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    whole, _, fraction = f"{rounded:,f}".partition(".")
    return f"{_sign(nano)}${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def fixed_usd(nano: int, decimals: int = 2, *, grouped: bool = False) -> str:
    """With so many decimals, rounded half up, without a sign: `9.95`, `1204.00`; grouped: `1,204.00`."""
    rounded = Decimal(nano).scaleb(-_DECIMALS).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return f"{rounded:,f}" if grouped else f"{rounded:f}"


def _sign(nano: int) -> str:
    return "-" if nano < 0 else ""
