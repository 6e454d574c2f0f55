"""PURE. The words of the ledger: limits, holds and their outcomes. Money is nano-USD."""

from dataclasses import dataclass

from agentfleet_core.budget.money import exact_nano


@dataclass(frozen=True, slots=True)
class LimitWindow:
    """One limit of a tenant in the window that holds now, computed in Python because of time zones."""

    name: str
    amount: int
    start_ms: int
    """0 for Total."""
    end_ms: int
    """When it resets; 0 for never. Redis's clock outside [start, end) makes a reserve `stale`."""

    @property
    def key(self) -> str:
        """Names the counter: the limit and its window's start, so that a new window starts at zero."""
        return f"{self.name}:{self.start_ms}"


@dataclass(frozen=True, slots=True)
class Hold:
    id: str
    """`<task id>/<attempt>/<call>`."""
    tenant: str
    amount: int
    limits: tuple[LimitWindow, ...]

    def __post_init__(self) -> None:
        exact_nano(self.amount)


@dataclass(frozen=True, slots=True)
class Reserved:
    hold: Hold


@dataclass(frozen=True, slots=True)
class Refused:
    """`limit` has no room. `by_holds`: an open hold's settle may make room, so it is not exhausted."""

    limit: str
    needed: int
    spent: int
    held: int
    amount: int
    by_holds: bool
    resets_at_ms: int
    """0: never (Total)."""
    stale: bool = False
    """The windows passed in are not those of Redis's clock: compute them anew and call again."""

    @property
    def never_fits(self) -> bool:
        """The whole limit is smaller than this one call: only a larger limit helps."""
        return not self.stale and self.needed > self.amount


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that waits for open holds to end, since on `limit` they have taken what it needs."""

    hold_id: str
    limit: str
    amount: int


@dataclass(frozen=True, slots=True)
class Settled:
    cost: int
    overrun: int
    """By how much the cost passed the hold; booked in full."""
    already: bool
    """It had been settled, released or swept before: nothing was changed."""


@dataclass(frozen=True, slots=True)
class Swept:
    released: int
    charged: int
    """Holds charged at their worst case as unconfirmed."""
    charged_amount: int

    def __add__(self, more: "Swept") -> "Swept":
        return Swept(
            self.released + more.released,
            self.charged + more.charged,
            self.charged_amount + more.charged_amount,
        )


@dataclass(frozen=True, slots=True)
class Balance:
    limit: LimitWindow
    spent: int
    held: int
    unconfirmed: int
    """The part of spent that was charged without the provider's word."""

    @property
    def remaining(self) -> int:
        return max(0, self.limit.amount - self.spent - self.held)
