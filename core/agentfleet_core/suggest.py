"""PURE. The end of an error's sentence: what was meant, or what there is."""

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 8


def meant(wrong: str, known: Iterable[str]) -> str | None:
    return next(iter(get_close_matches(wrong, known, n=1)), None)


def choices(wrong: str, known: Iterable[str]) -> str:
    """`did you mean fast?`, else `there are capable, fast`, else `there is none`."""
    names = sorted(known)
    close = meant(wrong, names)
    if close:
        return f"did you mean {close}?"
    if not names:
        return "there is none"
    listed = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return f"there {'is' if len(names) == 1 else 'are'} {listed}"
