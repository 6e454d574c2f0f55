"""PURE. The end of an error's sentence: what was meant, or what there is."""

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 8


def choices(wrong: str, known: Iterable[str]) -> str:
    """`did you mean fast?`, else `there are capable, fast`, else `there is none`."""
    names = sorted(known)
    close = get_close_matches(wrong, names, n=1)
    if close:
        return f"did you mean {close[0]}?"
    if not names:
        return "there is none"
    listed = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return f"there {'is' if len(names) == 1 else 'are'} {listed}"
