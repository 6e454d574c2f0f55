"""`get tiers`: what a token costs at each model of each tier."""

from agentfleet_cli.views.fleet import tier_lines

SMALL = {
    "input": "1.00",
    "output": "5.00",
    "cache_read": "0.10",
    "cache_write_5m": "1.25",
    "cache_write_1h": "2.00",
}
LONG = {**SMALL, "input": "2.00", "output": "7.50"}


def test_a_row_per_model_with_all_its_prices() -> None:
    tiers = [
        {"name": "fast", "rank": 1, "prices": [{"model": "small", "bands": [SMALL]}]},
        {
            "name": "capable",
            "rank": 2,
            "prices": [{"model": "large", "bands": [SMALL, LONG]}, {"model": "next-year"}],
        },
    ]
    assert "\n".join(tier_lines(tiers)) == (
        "TIER     RANK  MODEL      INPUT     OUTPUT       CACHE READ  CACHE WRITE 5M\n"
        "fast     1     small      $1        $5           $0.10       $1.25\n"
        "capable  2     large      $1 or $2  $5 or $7.50  $0.10       $1.25\n"
        "               next-year  none yet  none yet     none yet    none yet\n"
        "prices: USD per million tokens"
    )
