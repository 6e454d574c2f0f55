"""How large what meets a model may get; a task's own limits stand in `queue/limits.py`.

Over one of them is a clear error that says what to do instead, never a cut.
"""

MAX_TOOL_RESULT_BYTES = 102_400
"""What a tool may return to a model: each byte may be a token to pay for, in every later turn."""
MAX_ERROR_BODY_BYTES = 65_536
"""Of a provider's error answer."""
MAX_RESPONSE_BYTES = 16_777_216
"""Of a provider's whole answer, as streamed."""


def sized(count: int) -> str:
    """`3.1 MiB`."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024 or unit == "MiB":
            break
        size /= 1024
    return f"{size:.1f} {unit}" if unit != "bytes" else f"{count} bytes"
