"""PURE. Why a task waits, is tried again or ended: the words of its `reason`, of events and of metrics."""

from enum import StrEnum


class TaskReason(StrEnum):
    """Why the queue itself, not a worker's attempt, moved a task.

    The scripts write the first two; tests hold their text, and the problems beside it, against this.
    """

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


class AttemptReason(StrEnum):
    """Why an attempt did not simply end."""

    BUDGET_EXHAUSTED = "BudgetExhausted"
    """A limit has no room until it resets; the task waits for that."""
    CALL_ABOVE_LIMIT = "CallAboveLimit"
    """One call may cost more than a whole limit allows; the task waits for a larger one."""
    WAITING_FOR_HOLDS = "WaitingForHolds"
    """Open holds filled a limit for as long as a call may wait; the task tries again soon."""
    PAUSED = "Paused"
    """The pool, the tenant, the type or the fleet is paused, or nobody knows since Redis is silent."""
    DRAINING = "Draining"
    """The worker ends; another goes on from the journal."""
    WORKER_REPLACED = "WorkerReplaced"
    """Another task blocked this worker, which is replaced; the task goes on elsewhere from the journal."""
    LOOP_BLOCKED = "LoopBlocked"
    """The handler held the event loop past its step's time-out."""
    HANDLER_FAILED = "HandlerFailed"
    """The handler, a step or a tool raised."""
    HANDLER_MISSING = "HandlerMissing"
    """`module:function` cannot be loaded in this worker's image."""
    INPUT_REFUSED = "InputRefused"
    """The handler does not take this input, or the prompt asks for a field that it lacks."""
    OUTPUT_REFUSED = "OutputRefused"
    """The result cannot be written as JSON, is too large, or is off the type's outputSchema."""
    JOURNAL_FULL = "JournalFull"
    """The task has taken as many steps as one task may, or their results are too large together."""
    ANSWER_CUT = "AnswerCut"
    """The model stopped (max_tokens, a full context window, a reason newer than this code) with nothing to
    use.
    """
    MODEL_REFUSED = "ModelRefused"
    """The model declined to answer."""
    TOO_MANY_TURNS = "TooManyTurns"
    """The agent used up its maxTurns without an answer."""
    STEP_TIMEOUT = "StepTimeout"
    """A step did not end within the type's stepSeconds; the task is tried again."""
    TASK_TIMEOUT = "TaskTimeout"
    """The task did not end within the type's taskSeconds; what its steps gave is its partial result."""
    PROVIDER_REFUSED = "ProviderRefused"
    """The provider refuses the call for good: the request, the key or the model is wrong."""
    PROVIDER_UNAVAILABLE = "ProviderUnavailable"
    """Retries inside the step's deadline did not get through: 429, 5xx, time-outs, lost connections."""
    COST_UNKNOWN = "CostUnknown"
    """No price or bound covers the call, so it was not made."""
    BUDGET_MISSING = "BudgetMissing"
    """The tenant has no TenantBudget now, so nothing may be paid for it."""
    KEY_MISSING = "KeyMissing"
    """The provider's key is not mounted in the worker; the task waits for it."""
    THROTTLED = "Throttled"
    """The provider asked to wait for longer than the step may take."""
    TYPE_UNKNOWN = "TypeUnknown"
    """The fleet config has no such task type now."""
