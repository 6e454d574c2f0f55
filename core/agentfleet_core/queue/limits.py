"""PURE. How large a task's parts may get: the one place that the coordinator, the queue and the worker read.

Over a limit is a clear error that says what to do instead, never a cut.
"""

from agentfleet_core.errors import InvalidInput

MAX_INPUT_BYTES = 256 << 10
MAX_OUTPUT_BYTES = 1 << 20
MAX_STEP_BYTES = 1 << 20
"""What a handler's step may return; larger things belong in a store of the handler's."""
MAX_ENTRY_BYTES = 4 << 20
"""One journal entry; larger than a step, since a model's answer is paid for and must fit as it came."""
MAX_JOURNAL_ENTRIES = 10_000
MAX_JOURNAL_BYTES = 32 << 20
"""Of a task's whole journal, which a later attempt is handed at once: past either no further step begins."""
MAX_EVENT_BYTES = 64 << 10
MAX_ERROR_BYTES = 16 << 10
"""Larger errors are kept shortened: an error must never be lost for its size."""
MAX_LIMITATIONS = 100
BLOCKED_NAMED = 20
"""Blocked tenants that a pool's counters name, for those who explain a pool rather than a tenant."""
ANY_REVISION = "*"
"""Among the revisions of a claim: those of every other revision too."""
MAX_REPORT_LETTERS = 300
REPORT_SECONDS = 3600
"""How long what a worker could not load is told, unless it is reported again."""


def bounded(what: str, value: bytes, most: int) -> bytes:
    """The value, or `InvalidInput` that says how much too large it is."""
    if len(value) > most:
        raise InvalidInput(f"the {what} has {len(value):,} bytes; at most {most:,} are kept", field=what)
    return value
