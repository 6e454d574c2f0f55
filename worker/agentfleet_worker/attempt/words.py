"""PURE. What users' code said and where, made fit to be kept and shown: valid UTF-8, whatever it was."""

import sys
from pathlib import PurePath
from traceback import format_exception, walk_tb
from types import FrameType


def legible(text: str) -> str:
    """Lone surrogates as the escapes that Python writes for them: `\\ud800`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def text_of(error: BaseException) -> str:
    """What the error says of itself; an error's own `__str__` may raise anything."""
    try:
        return legible(str(error))
    except BaseException as another:  # noqa: BLE001 -- users' code, asked by ours while it ends their task
        return f"its text cannot be had: __str__ raised {type(another).__name__}"


def traceback_of(error: BaseException) -> str:
    return legible("".join(format_exception(error)))


def place_of(error: BaseException) -> str:
    """` (hello/stock.py:9 in price)`: the innermost line of users' own code, else of what it called."""
    frames = list(walk_tb(error.__traceback__))
    if not frames:
        return ""
    _, (frame, line) = max(enumerate(frames), key=lambda each: (_ownness(each[1][0]), each[0]))
    code = frame.f_code
    return f" ({'/'.join(PurePath(code.co_filename).parts[-2:])}:{line} in {code.co_qualname})"


def _ownness(frame: FrameType) -> int:
    """2: users' own code. 1: installed, which users' code may be too. 0: Python's or ours."""
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if package in sys.stdlib_module_names or package == "agentfleet" or package.startswith("agentfleet_"):
        return 0
    return 1 if "site-packages" in frame.f_code.co_filename else 2
