"""The Messages API behind the port: counting, another model's turns, and what a body may say."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentfleet_core.api.v1alpha1.model_tier import Model
from agentfleet_core.budget.prices import Rates, rates_of
from agentfleet_core.errors import CostUnknown
from agentfleet_core.providers.anthropic.bounds import (
    COUNT_SLACK_SHARE,
    COUNT_SLACK_TOKENS,
    MOST_BYTES_PER_TOKEN,
)
from agentfleet_core.providers.anthropic.errors import STATUS_OF_KIND
from agentfleet_core.providers.registry import PROVIDERS, usage_in_words
from agentfleet_core.resilience.verdict import Fail

ANTHROPIC = PROVIDERS["Anthropic"]
BAND = {"input": "1", "output": "5", "cacheRead": "1", "cacheWrite5m": "1", "cacheWrite1h": "2"}
REQUEST: dict[str, Any] = {
    "model": "haiku", "max_tokens": 100, "stream": True, "metadata": {"user_id": "u"},
    "messages": [{"role": "user", "content": "Where is my order? " * 50}],
}  # fmt: skip
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
TEXT = {"type": "text", "text": "It ships."}


def rates(**more: Any) -> Rates:
    prices = [{"effectiveFrom": "2026-01-01", "bands": [BAND]}]
    return rates_of(
        Model.model_validate({"name": "haiku", "prices": prices, **more}), datetime(2026, 11, 24, tzinfo=UTC)
    )


def cost(request: dict[str, Any], counted: int | None = None) -> int:
    return ANTHROPIC.worst_cost(request, orjson.dumps(request), rates(), counted)


def test_a_count_asks_for_what_counts_and_for_nothing_else() -> None:
    count = ANTHROPIC.count(REQUEST)
    assert count is not None
    assert count.path == "/v1/messages/count_tokens"
    assert orjson.loads(count.body) == {name: REQUEST[name] for name in ("model", "messages")}
    assert ANTHROPIC.is_free("POST", count.path)


def test_no_count_is_asked_for_where_it_knows_the_first_round_alone() -> None:
    searches = [{"type": "web_search_20250305", "name": "web_search"}]
    assert ANTHROPIC.count({**REQUEST, "tools": searches}) is None


def test_a_count_bounds_the_prompt_with_its_slack() -> None:
    tokens = 250 + 250 // COUNT_SLACK_SHARE + COUNT_SLACK_TOKENS
    assert cost(REQUEST, 250) == tokens * 2_000 + 100 * 5_000


def test_a_count_that_no_text_of_that_size_can_have_is_not_believed() -> None:
    long = {**REQUEST, "messages": [{"role": "user", "content": "Where is my order? " * 500}]}
    tokens = len(orjson.dumps(long)) // MOST_BYTES_PER_TOKEN
    assert cost(long, 1) == tokens * 2_000 + 100 * 5_000


def test_media_count_as_their_tier_declares_whatever_the_count_says() -> None:
    data = "A" * 8_000
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    request = {**REQUEST, "messages": [{"role": "user", "content": [image, TEXT]}]}
    body = orjson.dumps(request)
    tokens = (len(body) - len(data)) // MOST_BYTES_PER_TOKEN + 1_600
    held = ANTHROPIC.worst_cost(request, body, rates(maxMediaTokens=1_600), 10)
    assert held == tokens * 2_000 + 100 * 5_000


@pytest.mark.parametrize("kind", sorted(STATUS_OF_KIND))
def test_an_error_of_a_stream_says_the_same_as_an_answer_of_its_own(kind: str) -> None:
    status, body = ANTHROPIC.as_refusal(kind, "no more")
    assert ANTHROPIC.refusal(status, body) == (kind, "no more")
    assert ANTHROPIC.verdict(status, kind) == ANTHROPIC.verdict(None, kind)
    assert isinstance(ANTHROPIC.verdict(status, kind), Fail)


@given(st.integers(0, 1_000_000))
def test_a_count_never_raises_the_bound(counted: int) -> None:
    assert cost(REQUEST, counted) <= cost(REQUEST)


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"input_tokens": "9"}', b'{"input_tokens": -1}'])
def test_an_answer_that_counts_nothing_is_none(answer: bytes) -> None:
    with pytest.raises(CostUnknown):
        ANTHROPIC.counted(answer)


def test_another_model_gets_the_conversation_without_the_first_ones_thinking() -> None:
    said = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [THOUGHT, TEXT]},
        {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
        {"role": "assistant", "content": [THOUGHT]},
        {"role": "user", "content": "Well?"},
    ]
    same = ANTHROPIC.addressed({**REQUEST, "messages": said}, "haiku", another=False)
    other = ANTHROPIC.addressed({**REQUEST, "messages": said}, "sonnet", another=True)
    assert (same["messages"], same["model"], same["stream"]) == (said, "haiku", True)
    assert other["model"] == "sonnet"
    assert other["messages"] == [said[0], {"role": "assistant", "content": [TEXT]}, said[2], said[4]]


def test_a_journaled_usage_is_said_in_words_and_an_unreadable_one_is_not() -> None:
    assert usage_in_words({"input_tokens": 412, "output_tokens": 96}) == "412 in, 96 out"
    assert usage_in_words({"heard": 5}) == usage_in_words(None) == ""


@pytest.mark.parametrize(("word", "expected"), [("true", True), ("false", False), ("maybe", None)])
def test_a_refusals_headers_may_say_whether_it_is_final(word: str, expected: bool | None) -> None:
    assert ANTHROPIC.should_retry({"x-should-retry": word}) is expected
    assert ANTHROPIC.should_retry({}) is None
