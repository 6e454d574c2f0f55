"""Prices: exact for what was used, certain for what may be used, and refused where neither can be said."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentfleet_core.api.v1alpha1.model_tier import Model, ModelTierSpec
from agentfleet_core.budget.prices import Demand, Rates, cost_of, find_model, rates_of, worst_case
from agentfleet_core.budget.usage import Report, Usage
from agentfleet_core.errors import CostUnknown
from agentfleet_core.providers.anthropic.bounds import (
    BUILT_IN_TOOL_TOKENS,
    TOOLS_OVERHEAD_TOKENS,
    token_bound,
    worst_cost,
)
from agentfleet_core.providers.anthropic.usage import merged, read_usage

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SHORT = {"maxPromptTokens": 100_000, "input": "0.10", "output": "0.50", "cacheRead": "0.01",
         "cacheWrite5m": "0.125", "cacheWrite1h": "0.20"}  # fmt: skip
LONG = {
    "input": "0.50",
    "output": "2.50",
    "cacheRead": "0.05",
    "cacheWrite5m": "0.625",
    "cacheWrite1h": "1.00",
}


def model(name: str = "haiku", **more: Any) -> Model:
    prices = more.pop("prices", [{"effectiveFrom": "2026-10-07", "bands": [SHORT, LONG]}])
    return Model.model_validate({"name": name, "prices": prices, **more})


def priced(**more: Any) -> Model:
    """The model, with `more` in its only price."""
    return model(prices=[{"effectiveFrom": "2026-10-07", "bands": [SHORT, LONG], **more}])


def rates(chosen: Model | None = None) -> Rates:
    return rates_of(chosen or model(), NOW)


def usage(**counts: Any) -> dict[str, Any]:
    return {"input_tokens": 0, "output_tokens": 0, **counts}


def written(*, five_minutes: int, hour: int) -> dict[str, Any]:
    by_lifetime = {"ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": hour}
    return usage(cache_creation_input_tokens=five_minutes + hour, cache_creation=by_lifetime)


class TestCostOfWhatWasUsed:
    @pytest.mark.parametrize(
        ("used", "nano"),
        [
            (usage(input_tokens=1_000, output_tokens=100), 1_000 * 100 + 100 * 500),
            (usage(cache_read_input_tokens=1_000), 1_000 * 10),
            (written(five_minutes=8, hour=0), 8 * 125),
            (written(five_minutes=3, hour=5), 3 * 125 + 5 * 200),
            (usage(output_tokens=7, output_tokens_details={"thinking_tokens": 5}), 7 * 500),
        ],
    )  # fmt: skip
    def test_each_kind_of_token_has_its_price(self, used: dict[str, Any], nano: int) -> None:
        assert cost_of(read_usage(used), rates()) == nano

    def test_cache_writes_of_unsaid_lifetime_cost_the_dearer_hour(self) -> None:
        assert cost_of(read_usage(usage(cache_creation_input_tokens=10)), rates()) == 10 * 200

    def test_the_whole_prompt_chooses_the_band_and_it_prices_every_token(self) -> None:
        short = usage(input_tokens=40_000, cache_read_input_tokens=60_000, output_tokens=10)
        assert cost_of(read_usage(short), rates()) == 40_000 * 100 + 60_000 * 10 + 10 * 500
        long = usage(input_tokens=40_001, cache_read_input_tokens=60_000, output_tokens=10)
        assert cost_of(read_usage(long), rates()) == 40_001 * 500 + 60_000 * 50 + 10 * 2_500

    def test_rounds_of_a_server_side_loop_have_their_own_bands(self) -> None:
        each = usage(input_tokens=80_000, output_tokens=10, type="message")
        whole = usage(input_tokens=160_000, output_tokens=20, iterations=[each, each])
        assert cost_of(read_usage(whole), rates()) == 2 * (80_000 * 100 + 10 * 500)

    def test_a_part_of_a_nano_dollar_is_rounded_up_once(self) -> None:
        tiny = {
            "input": "0.0001",
            "output": "0.0001",
            "cacheRead": "0.0001",
            "cacheWrite5m": "0",
            "cacheWrite1h": "0",
        }
        cheap = rates(model(prices=[{"effectiveFrom": "2026-01-01", "bands": [tiny]}]))
        assert cost_of(Report((Usage(input=1, output=1, cache_read=1),)), cheap) == 1
        assert cost_of(Report((Usage(input=11, output=0),)), cheap) == 2

    def test_the_last_words_of_a_stream_overlay_its_first(self) -> None:
        start = usage(input_tokens=50, output_tokens=1, cache_read_input_tokens=7, service_tier="standard")
        final = merged(start, {"output_tokens": 90, "input_tokens": None, "cache_read_input_tokens": None})
        assert read_usage(final).total == Usage(input=50, output=90, cache_read=7)


class TestPriceByDate:
    PRICES = (
        {"effectiveFrom": "2026-10-07", "bands": [{**LONG, "cacheRead": "0.10"}]},
        {"effectiveFrom": "2026-09-28", "bands": [{**LONG, "cacheRead": "0.20"}]},
    )

    @pytest.mark.parametrize(
        ("now", "cache_read"),
        [("2026-10-06T23:59:59+00:00", "0.20"), ("2026-10-07T00:00:00+00:00", "0.10"),
         ("2026-10-07T01:00:00+02:00", "0.20")],
    )  # fmt: skip
    def test_the_newest_price_whose_day_has_come_in_utc_holds(self, now: str, cache_read: str) -> None:
        found = rates_of(model(prices=list(self.PRICES)), datetime.fromisoformat(now))
        assert found.bands[0].cache_read == int(cache_read[2:]) * 10_000_000

    def test_before_the_first_price_a_call_is_refused(self) -> None:
        with pytest.raises(CostUnknown, match="no price before 2026-09-28"):
            rates_of(model(prices=list(self.PRICES)), datetime(2026, 9, 27, tzinfo=UTC))

    def test_a_model_that_the_tier_does_not_name_is_refused_with_those_it_does(self) -> None:
        tier = ModelTierSpec(rank=1, models=[model("haiku"), model("older")])
        assert find_model(tier, "older").name == "older"
        with pytest.raises(CostUnknown, match='"opus"; it has haiku, older'):
            find_model(tier, "opus")


class TestOtherThanStandardService:
    @pytest.mark.parametrize(
        "odd",
        [{"service_tier": "batch"}, {"service_tier": "priority"}, {"service_tier": "flex"}, {"speed": "fast"},
         {"inference_geo": "us"}, {"inference_geo": "mars"}, {"server_tool_use": {"web_search_requests": 1}},
         {"input_tokens": None}, {"output_tokens": "9"}, {"cache_read_input_tokens": -1},
         {"input_tokens": True},
         {"iterations": [usage(type="advisor_message", model="opus")]}],
    )  # fmt: skip
    def test_what_has_no_declared_price_is_refused_not_priced_as_standard(self, odd: dict[str, Any]) -> None:
        with pytest.raises(CostUnknown):
            cost_of(read_usage(usage(input_tokens=10) | odd), rates())

    def test_declared_factors_multiply_and_searches_add(self) -> None:
        declared = rates(
            priced(
                multipliers={"batch": "0.5", "inferenceGeoUs": "1.1", "fast": "2.5"},
                webSearchesPerThousand="10.00",
            )
        )
        used = usage(
            input_tokens=1_000,
            service_tier="batch",
            inference_geo="us",
            speed="fast",
            server_tool_use={"web_search_requests": 3},
        )
        assert cost_of(read_usage(used), declared) == int(1_000 * 100 * 0.5 * 1.1 * 2.5) + 3 * 10_000_000

    def test_geos_that_cost_nothing_more_are_standard(self) -> None:
        plain = usage(
            input_tokens=10, inference_geo="not_available", service_tier="standard", speed="standard"
        )
        assert cost_of(read_usage(plain), rates()) == 1_000


def request(**more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Where is order A-1001?"}]
    return {"model": "haiku", "max_tokens": 100, "messages": messages, **more}


CITED = {"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": True}}


def hold(body: dict[str, Any], chosen: Model | None = None) -> int:
    return worst_cost(body, token_bound(json.dumps(body).encode()), rates(chosen))


class TestWorstCaseOfARequest:
    def test_bytes_bound_the_prompt_at_the_dearest_price_and_max_tokens_the_output(self) -> None:
        body = request()
        assert hold(body) == len(json.dumps(body)) * 200 + 100 * 500

    def test_text_that_a_tokenizer_would_first_make_longer_counts_as_it_becomes(self) -> None:
        assert token_bound(b"plain") == 5
        assert token_bound("Grüße".encode()) == 7
        assert token_bound("\ufdfa".encode()) == 33
        assert token_bound(b"\xff\xfe broken") >= 9

    def test_tools_and_an_output_format_add_the_instructions_that_the_provider_writes(self) -> None:
        plain = request(tools=[{"name": "look", "input_schema": {"type": "object"}}])
        assert hold(plain) == (len(json.dumps(plain)) + TOOLS_OVERHEAD_TOKENS) * 200 + 50_000
        built_in = request(tools=[{"name": "bash", "type": "bash_20250124"}])
        extra = TOOLS_OVERHEAD_TOKENS + BUILT_IN_TOOL_TOKENS
        assert hold(built_in) == (len(json.dumps(built_in)) + extra) * 200 + 50_000

    def test_a_prompt_that_may_reach_the_long_band_is_held_at_its_price(self) -> None:
        assert worst_case(Demand(100_000, 0), rates()) == 100_000 * 200
        assert worst_case(Demand(100_001, 0), rates()) == 100_001 * 1_000

    def test_a_dearer_short_band_counts_although_the_bytes_reach_further(self) -> None:
        falling = rates(model(prices=[{"effectiveFrom": "2026-01-01", "bands": [
            {**LONG, "maxPromptTokens": 1_000}, {key: SHORT[key] for key in LONG}]}]))  # fmt: skip
        assert worst_case(Demand(1_001, 10), falling) == 1_000 * 1_000 + 10 * 2_500

    def test_multipliers_count_unless_the_request_rules_them_out(self) -> None:
        dear = rates(priced(multipliers={"priority": "2", "inferenceGeoUs": "1.1"}))
        assert worst_case(Demand(1_000, 0), dear) == 1_000 * 200 * 22 // 10
        assert worst_case(Demand(1_000, 0, priority=False, geo="global"), dear) == 1_000 * 200

    def test_media_count_as_declared_instead_of_their_base64(self) -> None:
        image = {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "A" * 5_000},
        }
        body = request(messages=[{"role": "user", "content": [image]}])
        assert (
            hold(body, model(maxMediaTokens=1_600)) == (len(json.dumps(body)) - 5_000 + 1_600) * 200 + 50_000
        )

    def test_media_inside_a_tools_result_count_too(self) -> None:
        image = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
        result = {"type": "tool_result", "tool_use_id": "t", "content": [image, image]}
        body = request(messages=[{"role": "user", "content": [result]}])
        assert hold(body, model(maxMediaTokens=1_600)) == (len(json.dumps(body)) + 3_200) * 200 + 50_000

    def test_tools_that_run_at_the_provider_count_at_their_declared_bound(self) -> None:
        body = request(tools=[{"type": "web_search_20260318", "name": "web_search", "max_uses": 2}])
        declared = priced(webSearchesPerThousand="10.00").model_copy(
            update={
                "server_tools": model(
                    serverTools={"maxPromptTokens": 90_000, "maxOutputTokens": 5_000, "maxWebSearches": 4}
                ).server_tools
            }
        )
        assert hold(body, declared) == 90_000 * 200 + 5_000 * 500 + 4 * 10_000_000

    def test_the_rounds_of_such_tools_may_each_fall_into_the_band_that_is_dearest_for_them(self) -> None:
        dear_input = {**LONG, "input": "4.00", "output": "0.10", "maxPromptTokens": 10_000}
        dear_output = {**LONG, "input": "0.10", "output": "9.00"}
        prices = [{"effectiveFrom": "2026-01-01", "bands": [dear_input, dear_output]}]
        bounds = {"maxPromptTokens": 50_000, "maxOutputTokens": 2_000}
        body = request(tools=[{"type": "web_fetch_20260318", "name": "web_fetch"}])
        assert hold(body, model(prices=prices, serverTools=bounds)) == 50_000 * 4_000 + 2_000 * 9_000

    @pytest.mark.parametrize(
        "unbounded",
        [
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]},
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "file"}}]}]},
            {"messages": [{"role": "user", "content": [CITED]}]},
            {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
            {"messages": ["no object"]},
            {"tools": [{"type": "web_search_20260318", "name": "web_search"}]},
            {"tools": [{"type": "code_execution_20260521", "name": "code"}]},
            {"tools": [{"type": "browser_toolset_20260801"}]},
            {"max_tokens": None},
            {"max_tokens": "100"},
            {"speed": "fast"},
            {"inference_geo": "us"},
            {"mcp_servers": [{"url": "https://example.org"}]},
            {"context_management": {"edits": []}},
            {"a_field_of_next_year": 1},
        ],
    )  # fmt: skip
    def test_what_has_no_bound_is_refused(self, unbounded: dict[str, Any]) -> None:
        with pytest.raises(CostUnknown):
            hold(request() | unbounded)

    def test_a_document_of_plain_text_is_bounded_by_its_bytes(self) -> None:
        document = {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "x" * 50},
        }
        body = request(messages=[{"role": "user", "content": [document]}])
        assert hold(body) == len(json.dumps(body)) * 200 + 50_000


COUNTS = st.integers(0, 200_000)
CENTS = st.integers(0, 3_000).map(lambda cents: f"{cents / 100:.2f}")
BANDS = st.lists(
    st.fixed_dictionaries(dict.fromkeys(LONG, CENTS)), min_size=1, max_size=4
).map(
    lambda bands: [
        band if index == len(bands) - 1 else {**band, "maxPromptTokens": 20_000 * (index + 1)}
        for index, band in enumerate(bands)
    ]
)  # fmt: skip


@given(
    bands=BANDS,
    split=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS),
    spare=st.integers(0, 50_000),
    output=COUNTS,
    unused=st.integers(0, 1_000),
    factors=st.fixed_dictionaries(
        {"priority": st.sampled_from(["0.5", "1.7"]), "inferenceGeoUs": st.just("1.1")}
    ),
    service=st.sampled_from(["standard", "priority"]),
    geo=st.sampled_from(["", "us", "global"]),
)
def test_no_usage_within_a_request_costs_more_than_its_worst_case(
    bands: list[dict[str, Any]],
    split: tuple[int, int, int, int],
    spare: int,
    output: int,
    unused: int,
    factors: dict[str, str],
    service: str,
    geo: str,
) -> None:
    prices = [{"effectiveFrom": "2026-01-01", "bands": bands, "multipliers": factors}]
    priced_today = rates(model(prices=prices))
    plain, read, five_minutes, hour = split
    used = Usage(plain, output, read, five_minutes, hour)
    most = worst_case(Demand(used.prompt + spare, output + unused), priced_today)
    assert cost_of(Report((used,), service_tier=service, inference_geo=geo), priced_today) <= most
