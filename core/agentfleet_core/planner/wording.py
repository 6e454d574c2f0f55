"""PURE. Numbers as the planner's sentences show them."""


def seconds(value: float) -> str:
    """`0.7 s`, `38 s`, `10 min`, `2 h`."""
    if value < 10:
        return f"{value:.1f}".removesuffix(".0") + " s"
    if value < 120:
        return f"{value:.0f} s"
    if value < 7_200:
        return f"{value / 60:.1f}".removesuffix(".0") + " min"
    return f"{value / 3_600:.1f}".removesuffix(".0") + " h"


def count(value: float, noun: str) -> str:
    """`1 worker`, `1,840 workers`."""
    whole = round(value)
    return f"{whole:,} {noun}" + ("" if whole == 1 else "s")


def per_minute(rate: float) -> str:
    """Of a rate by the second: `0.5 a minute`, `186 a minute`."""
    value = rate * 60
    shown = f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:,.0f}"
    return f"{shown} a minute"


def percent(value: float) -> str:
    """`95 %`, `99.1 %`."""
    return f"{value:.2f}".rstrip("0").rstrip(".") + " %"
