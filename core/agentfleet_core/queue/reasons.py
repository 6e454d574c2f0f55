"""PURE. Why the queue itself, not a worker's attempt, moved a task: the words of a task's `reason`.

The scripts write the first two; tests hold their text, and the problems beside it, against this.
"""

from enum import StrEnum


class TaskReason(StrEnum):
    EXPIRED = "Expired"
    """Its expires_after_seconds went by before it ended."""
    WORKER_LOST = "WorkerLost"
    """Its last attempt ended with a worker that no longer renewed its lease."""
    CANCELLED_BY_REQUEST = "CancelledByRequest"
    """Somebody cancelled it."""
    ENVELOPE_UNKNOWN = "EnvelopeUnknown"
    """A later release wrote it; it waits for a worker of that release."""
    ENVELOPE_UNREADABLE = "EnvelopeUnreadable"
    """What is kept of it is no envelope at all; nobody can run it."""
