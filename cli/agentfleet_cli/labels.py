"""Labels as they are written on the command line."""

from collections.abc import Sequence

from agentfleet_cli.output import WrongCommandLine


def read_labels(pairs: Sequence[str] | None) -> dict[str, str] | None:
    """From `key=value`s. None when there are none. Raises `WrongCommandLine`."""
    found = [pair.partition("=") for pair in pairs or ()]
    if not all(key and sign for key, sign, _ in found):
        raise WrongCommandLine("a label is written key=value", field="labels")
    return {key: value for key, _, value in found} or None
