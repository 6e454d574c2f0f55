"""PURE. Text that came from users' code, made fit to be kept and shown: valid UTF-8, whatever it was."""


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
