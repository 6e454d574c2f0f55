"""PURE. What a failed call means for whoever would make it again; each provider has its own table to it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """The same call may succeed later, inside its deadline."""

    slows_fleet: bool = False
    """The provider is short of capacity for this key: others would only be refused too."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The same call cannot succeed: `advice` says what to change, to follow "the provider …: "."""

    advice: str


Verdict = Retry | Fail
