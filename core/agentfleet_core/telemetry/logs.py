"""Structured logs on stderr: one line an event, as text for people or as JSON for collectors.

Say what happened in the message and put what varies into `extra={…}`: each extra field appears in both forms.
No secrets, no task inputs or outputs, no log per task on a hot path.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import orjson

_STANDARD: Final = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {
    "message",
    "asctime",
    "taskName",
}


class TextFormatter(logging.Formatter):
    """`14:03:07.123 INFO  worker  claimed pool=batch tasks=4`"""

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        fields = "".join(f" {name}={_shown(value)}" for name, value in _extras(record).items())
        line = f"{clock} {record.levelname:<7} {_short(record.name)}  {record.getMessage()}{fields}"
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        return f"{line}\n{trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601 UTC), level, logger, message, the extra fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update((name, value) for name, value in _extras(record).items() if name not in entry)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except orjson.JSONEncodeError:  # a lone surrogate, or a number that is too large
            return json.dumps(entry, default=str)


def set_up_logs(log_format: str = "text", *, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Replace the root logger's handlers by one; `log_format` is `json` or `text`. Safe to call again."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpx2", "httpcore", "httpcore2", "uvicorn.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def _shown(value: Any) -> str:
    text = str(value)
    return repr(text) if not text or any(sign in text for sign in ' "\n=') else text


def _short(logger: str) -> str:
    return logger.removeprefix("agentfleet_")
