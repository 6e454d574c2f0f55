"""Logs: one event a line, its fields in both forms."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from agentfleet_core.telemetry.logs import set_up_logs

log = logging.getLogger("agentfleet_worker.loop")


@pytest.fixture(autouse=True)
def root_logger_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(log_format: str) -> io.StringIO:
    stream = io.StringIO()
    set_up_logs(log_format, stream=stream)
    return stream


def test_as_json_each_line_is_an_object_with_its_fields() -> None:
    stream = logged("json")
    log.warning("claimed %d", 4, extra={"pool": "batch", "amounts": {1: 2}, "level": "not this"})
    entry = json.loads(stream.getvalue())
    assert entry["time"].endswith("+00:00")
    assert (entry["level"], entry["logger"]) == ("warning", "agentfleet_worker.loop")
    assert (entry["message"], entry["pool"], entry["amounts"]) == ("claimed 4", "batch", {"1": 2})


def test_as_text_fields_follow_the_message_and_odd_ones_are_quoted() -> None:
    stream = logged("text")
    log.info("claimed", extra={"pool": "batch", "why": "two words", "line": "a\nb"})
    line = stream.getvalue()
    assert line.endswith("INFO    worker.loop  claimed pool=batch why='two words' line='a\\nb'\n")
    assert line.count("\n") == 1


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_trace_comes_with_its_event(log_format: str) -> None:
    stream = logged(log_format)
    try:
        raise ValueError("it broke")
    except ValueError:
        log.exception("gave up")
    assert "ValueError: it broke" in stream.getvalue()


def test_what_cannot_be_json_is_shown_not_lost() -> None:
    stream = logged("json")
    log.info("odd", extra={"thing": object(), "many": {1, 2}})
    assert json.loads(stream.getvalue())["thing"].startswith("<object object")


def test_setting_up_twice_logs_once_and_libraries_are_quiet() -> None:
    logged("text")
    stream = logged("text")
    log.info("once")
    logging.getLogger("httpx2").info("GET /")
    assert stream.getvalue().count("\n") == 1


def test_a_text_that_is_no_unicode_is_escaped_not_lost() -> None:
    stream = logged("json")
    logging.getLogger("agentfleet_worker.main").warning("said \ud800")
    assert json.loads(stream.getvalue())["message"] == "said \ud800"
