"""Every error that agentfleet raises, in one tree.

    AgentfleetError
    ├── InvalidInput            the caller must change something; says what
    │   ├── InvalidManifest     a resource that cannot be accepted
    │   ├── InvalidRequest      an API request or an SDK call
    │   ├── UnknownEnvelope     a task that a later release wrote; a worker of that release can run it
    │   └── CostUnknown         a model call that no price or bound covers: refused, never free
    ├── NotFound                a named thing does not exist
    ├── Conflict                the same key with another body, or a state that forbids it
    ├── Unauthorized            no key, or a wrong one
    ├── Forbidden               a good key that may not do this
    ├── TaskFailed              a task that was waited for ended without a result
    ├── Overloaded              back-pressure: try again after `retry_after_seconds`
    ├── BudgetExhausted         a limit has no room until it resets
    ├── DeadlineExceeded        a task, step or call ran out of time
    ├── LeadershipLost          another process leads now; this one must stop acting at once
    ├── Unavailable             Redis, the API server or a provider is out of reach; retry may help
    ├── HandlerFailed           the user's handler or tool failed
    ├── CodeMissing             `module:function` names nothing that this worker can import
    └── ProviderError           the provider refused or broke a call

`retryable` says whether the same thing, done again unchanged, can succeed.
"""

from collections.abc import Mapping
from datetime import datetime


class AgentfleetError(Exception):
    """The root: one sentence that says what happened and, where the reader can act, what to change."""

    retryable: bool = False


class InvalidInput(AgentfleetError):
    """`field` is a path such as `spec.scaling.minReplicas`, empty when the whole is meant."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class InvalidManifest(InvalidInput):
    """A resource that the API server, or `validate`, refuses."""


class InvalidRequest(InvalidInput):
    """A request whose body, query or header must change."""


class UnknownEnvelope(InvalidInput):
    """A task's record that a later release wrote and this one must not guess at."""


class CostUnknown(InvalidInput):
    """What a model call costs, or may cost, cannot be told; `field` is the part of the request or price."""


class NotFound(AgentfleetError):
    """`hint` says what there is, or what was meant."""

    def __init__(self, kind: str, name: str, hint: str = "") -> None:
        super().__init__(f"{kind} {name} does not exist" + (f"; {hint}" if hint else ""))
        self.kind = kind
        self.name = name


class Conflict(AgentfleetError):
    """The state of a thing forbids what was asked."""


class Unauthorized(AgentfleetError):
    """The key is missing or wrong."""


class Forbidden(AgentfleetError):
    """The key is known and may not do this; says which kind of key may."""


class TaskFailed(AgentfleetError):
    """A task ended failed, dead or cancelled; `problem` is its error as the API gives it."""

    def __init__(self, task_id: str, state: str, problem: Mapping[str, object] | None = None) -> None:
        self.task_id = task_id
        self.state = state
        self.problem = dict(problem or {})
        detail = self.problem.get("detail") or self.problem.get("title") or ""
        super().__init__(f"task {task_id} ended {state}" + (f": {detail}" if detail else ""))


class Overloaded(AgentfleetError):
    retryable: bool = True

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class BudgetExhausted(AgentfleetError):
    """A reserve was refused which no open hold could free. `resets_at` is on the limit's own clock; None:
    never.
    """

    def __init__(self, message: str, *, tenant: str, limit: str, resets_at: datetime | None) -> None:
        super().__init__(message)
        self.tenant = tenant
        self.limit = limit
        self.resets_at = resets_at


class DeadlineExceeded(AgentfleetError):
    """`scope` is task, step or call."""

    def __init__(self, scope: str, seconds: float) -> None:
        super().__init__(f"the {scope} did not end within its {seconds:g} s")
        self.scope = scope
        self.seconds = seconds


class LeadershipLost(AgentfleetError):
    """The Lease could not be renewed in time, or another process holds it."""


class Unavailable(AgentfleetError):
    retryable: bool = True


class HandlerFailed(AgentfleetError):
    """Also for handlers to raise: `retryable=False` says that trying again cannot help."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class CodeMissing(AgentfleetError):
    """A handler, step or tool that cannot be loaded in the worker's image; says why."""


class ProviderError(AgentfleetError):
    """A call that the provider refused or that broke on the way."""

    def __init__(
        self, message: str, *, status: int | None, kind: str, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.retry_after_seconds = retry_after_seconds
