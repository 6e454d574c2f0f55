"""PURE. What is paused, by a manifest's `spec.paused` or by hand: one answer for claims, paid calls, the
planner, kubectl and the API.

A task type has no `spec.paused`; it is paused by hand alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Self

from agentfleet_core.api.conditions import Reason
from agentfleet_core.errors import InvalidInput, NotFound
from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.suggest import choices

UNKNOWN = "fleet (Redis is silent, so nobody knows what is paused)"
"""What `of` names while Redis is out of reach."""


class TargetKind(StrEnum):
    FLEET = "fleet"
    POOL = "pool"
    TENANT = "tenant"
    TASK_TYPE = "task-type"


@dataclass(frozen=True, slots=True)
class Target:
    """What one pause stops; as a string `fleet`, `pool/NAME`, `tenant/NAME` or `task-type/NAME`."""

    kind: TargetKind
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `InvalidInput` for anything else."""
        word, slash, name = text.partition("/")
        kind = next((kind for kind in TargetKind if kind == word), None)
        well_formed = not slash if kind is TargetKind.FLEET else bool(name)
        if kind is None or not well_formed:
            raise InvalidInput(
                f"{text!r} cannot be paused; write fleet, pool/NAME, tenant/NAME or task-type/NAME",
                field="target",
            )
        return cls(kind, name)

    def require_in(self, config: FleetConfig) -> None:
        """Raises `NotFound`, with what was meant, for a name that the fleet does not have."""
        known: Mapping[TargetKind, Iterable[str]] = {
            TargetKind.POOL: config.pools,
            TargetKind.TENANT: config.tenants,
            TargetKind.TASK_TYPE: config.task_types,
        }
        names = sorted(known.get(self.kind, ()))
        if self.kind is not TargetKind.FLEET and self.name not in names:
            raise NotFound(self.kind.replace("-", " "), self.name, choices(self.name, names))

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.name else self.kind.value


FLEET = Target(TargetKind.FLEET)


@dataclass(frozen=True, slots=True)
class Switch:
    """A pause set by hand."""

    by: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Pause:
    """What stops somebody: by hand, or by the manifest of the very pool or tenant."""

    target: Target
    by_hand: bool

    @property
    def reason(self) -> Reason:
        return Reason.PAUSED_BY_SWITCH if self.by_hand else Reason.PAUSED_BY_SPEC

    @property
    def sentence(self) -> str:
        return f"{self.target} is paused by hand" if self.by_hand else "spec.paused is true"


@dataclass(frozen=True)
class Pauses:
    """Of one config and one set of switches; make another when either has changed."""

    config: FleetConfig
    switches: Mapping[str, Switch] = field(default_factory=dict)

    def find(
        self, *, pool: str | None = None, tenant: str | None = None, task_type: str | None = None
    ) -> Pause | None:
        """The widest pause that stops any of these, or None when a paid call may start."""
        if str(FLEET) in self.switches:
            return Pause(FLEET, by_hand=True)
        for kind, name in (
            (TargetKind.POOL, pool), (TargetKind.TENANT, tenant), (TargetKind.TASK_TYPE, task_type),
        ):  # fmt: skip
            if name is None:
                continue
            if self._by_spec(kind, name):
                return Pause(Target(kind, name), by_hand=False)
            if f"{kind}/{name}" in self.switches:
                return Pause(Target(kind, name), by_hand=True)
        return None

    def of(
        self, *, pool: str | None = None, tenant: str | None = None, task_type: str | None = None
    ) -> str | None:
        """`find`, as the target's words."""
        found = self.find(pool=pool, tenant=tenant, task_type=task_type)
        return None if found is None else str(found.target)

    def without(self, target: Target) -> Pause | None:
        """What pauses the target itself, its own pause by hand left out."""
        others = {text: switch for text, switch in self.switches.items() if text != str(target)}
        names = {target.kind.replace("-", "_"): target.name} if target.name else {}
        return Pauses(self.config, others).find(**names)

    @cached_property
    def tenants(self) -> tuple[str, ...]:
        """Those that claims leave out, for a fleet and a pool that are not paused themselves."""
        by_spec = {name for name in self.config.tenants if self._by_spec(TargetKind.TENANT, name)}
        return tuple(sorted(by_spec | set(self._by_hand(TargetKind.TENANT))))

    @cached_property
    def task_types(self) -> tuple[str, ...]:
        """Those that claims leave out."""
        return tuple(sorted(self._by_hand(TargetKind.TASK_TYPE)))

    def _by_hand(self, kind: TargetKind) -> Iterator[str]:
        prefix = f"{kind}/"
        return (target.removeprefix(prefix) for target in self.switches if target.startswith(prefix))

    def _by_spec(self, kind: TargetKind, name: str) -> bool:
        if kind is TargetKind.POOL:
            pool = self.config.pools.get(name)
            return pool is not None and pool.spec.paused
        if kind is TargetKind.TENANT:
            tenant = self.config.tenants.get(name)
            return tenant is not None and tenant.spec.paused
        return False
