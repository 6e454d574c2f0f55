"""PURE. What keeps a pool from its work, for its status and for `why`: the runner's words, then workers'."""

from collections.abc import Mapping, Sequence

from agentfleet_core.api.conditions import Reason
from agentfleet_core.api.v1alpha1 import TaskTypeSpec
from agentfleet_core.fleet.code import types_by_code
from agentfleet_core.planner.snapshot import Trouble
from agentfleet_core.queue.envelope import MissingCode

TOLD = 3
"""Functions that one message names."""


def troubles(
    seen: Trouble | None, missing: Sequence[MissingCode], revision: str, types: Mapping[str, TaskTypeSpec]
) -> tuple[Trouble, ...]:
    """What workers of another revision lacked is over, and so is what no task type names any more."""
    found = [] if seen is None else [seen]
    current = [one for one in missing if one.revision == revision]
    named = types_by_code(types) if current else {}
    lacking = [one for one in current if one.path in named]
    if lacking:
        said = [f"{one.why} (named by {', '.join(named[one.path])})" for one in lacking[:TOLD]]
        more = len(lacking) - len(said)
        message = "; ".join([*said, *([f"and {more} more"] if more else [])])
        found.append(Trouble(Reason.HANDLER_MISSING, message))
    return tuple(found)
