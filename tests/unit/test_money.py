"""Money: exact in, exact out, and readable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentfleet_core.budget.money import MAX_NANO_USD, decimal_usd, exact_usd, nano_usd, usd
from agentfleet_core.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0),
        ("1.25", 1_250_000_000),
        ("0.000000001", 1),
        ("100.00", 100_000_000_000),
        ("007.5", 7_500_000_000),
    ],
)
def test_an_amount_in_a_manifest_is_read_exactly(text: str, nano: int) -> None:
    assert nano_usd(text) == nano


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e3",
        "1e-9",
        "NaN",
        "Infinity",
        "1,5",
        " 1",
        "1 ",
        "1.",
        ".5",
        "0.0000000001",
        "9999999",
        "12345678",
        "１",
        "1_000",
    ],
)
def test_what_is_no_exact_amount_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match="USD"):
        nano_usd(text)


@given(st.integers(0, MAX_NANO_USD))
def test_the_machine_form_loses_nothing(nano: int) -> None:
    assert nano_usd(decimal_usd(nano)) == nano


@pytest.mark.parametrize(
    ("nano", "shown"),
    [
        (0, "$0.00"),
        (31_200_000, "$0.0312"),
        (182_000_000, "$0.182"),
        (50_000_000, "$0.05"),
        (5, "$0.000000005"),
        (999_600_000, "$1.00"),
        (41_200_000_000, "$41.20"),
        (1_204_000_000_000, "$1,204.00"),
        (-5_000_000, "-$0.005"),
        (123_456, "$0.000123"),
    ],
)
def test_people_see_cents_or_three_digits_that_matter(nano: int, shown: str) -> None:
    assert usd(nano) == shown


@pytest.mark.parametrize(
    ("nano", "shown"),
    [
        (0, "$0.000000"),
        (31_200_000, "$0.031200"),
        (9_800, "$0.0000098"),
        (84_300, "$0.0000843"),
        (1_204_000_000_000, "$1,204.000000"),
    ],
)
def test_people_who_add_up_see_every_digit(nano: int, shown: str) -> None:
    assert exact_usd(nano) == shown
