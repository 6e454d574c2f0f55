"""TaskType: what a kind of task is, which pool and tier it runs on, and how it may fail."""

from typing import Any, Literal

from pydantic import Field

from agentfleet_core.api.v1alpha1.base import API_VERSION, DnsLabel, ObjectMeta, Resource

HANDLER_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"


class TierBounds(Resource):
    """The tier a task gets, and the bounds within which routing may move it."""

    default: DnsLabel
    """The ModelTier used when nothing speaks against it."""
    lowest: DnsLabel | None = None
    """The cheapest tier allowed; the default when left out."""
    highest: DnsLabel | None = None
    """The dearest tier allowed; the default when left out."""


class Thinking(Resource):
    """Extended thinking of the model, billed as output inside maxOutputTokens."""

    mode: Literal["Adaptive", "Disabled"] = "Adaptive"


class Agent(Resource):
    """A model with instructions and tools, run in turns until it answers."""

    system: str = Field("", max_length=100_000)
    """The system prompt; cached by the provider."""
    prompt: str = Field(min_length=1, max_length=100_000)
    """The first user message; `{{ input.field }}` takes the task's input."""
    tools: list[str] = Field(default_factory=list, max_length=64)
    """Python tools, each `module:function` with a typed signature."""
    max_turns: int = Field(8, ge=1, le=200)
    """Model responses at most."""
    max_output_tokens: int = Field(1_024, ge=1, le=128_000)
    """Output tokens of one response at most: what a reserve holds."""
    thinking: Thinking | None = None


class WorkflowStep(Resource):
    """One handler call of a workflow, journaled under its name."""

    name: DnsLabel
    handler: str = Field(pattern=HANDLER_PATTERN, max_length=253)
    depends_on: list[DnsLabel] = Field(default_factory=list, max_length=32)
    """Earlier steps whose results this one takes."""


class Workflow(Resource):
    steps: list[WorkflowStep] = Field(min_length=1, max_length=64)


class Timeouts(Resource):
    """Deadlines, counted from the start of what they bound."""

    task_seconds: int = Field(600, ge=1, le=604_800)
    """From the first claim, standing still while the task is parked."""
    step_seconds: int = Field(120, ge=1, le=86_400)
    llm_call_seconds: int = Field(60, ge=1, le=3_600)
    expires_after_seconds: int = Field(86_400, ge=1, le=2_592_000)
    """From admission to the end, whatever happens."""


class Retry(Resource):
    max_attempts: int = Field(3, ge=1, le=100)
    """Attempts after which a task that keeps failing is a dead letter."""
    backoff_seconds: int = Field(1, ge=0, le=3_600)
    """Wait before the second attempt; doubled for each further one, jittered."""
    max_backoff_seconds: int = Field(60, ge=0, le=86_400)


class TaskTypeSpec(Resource):
    pool: DnsLabel
    """The AgentPool that runs these tasks."""
    pools: list[DnsLabel] = Field(default_factory=list, max_length=16)
    """Further pools that a submit may choose instead."""
    priority: int = Field(50, ge=0, le=100)
    """Higher starts sooner inside a tenant's share; waiting tasks age, so nothing starves."""
    tier: TierBounds
    agent: Agent | None = None
    """Exactly one of agent, handler and workflow."""
    handler: str | None = Field(None, pattern=HANDLER_PATTERN, max_length=253)
    """A Python coroutine, `module:function`, that takes a TaskContext and the input's fields."""
    workflow: Workflow | None = None
    input_schema: dict[str, Any] = Field(default_factory=dict)
    """JSON Schema (2020-12) of the input; no `$ref` to elsewhere."""
    output_schema: dict[str, Any] = Field(default_factory=dict)
    """JSON Schema of the output; an agent that answers off schema is asked once more, then fails."""
    timeouts: Timeouts = Field(default_factory=Timeouts)
    retry: Retry = Field(default_factory=Retry)


class TaskType(Resource):
    api_version: Literal["agentfleet.dev/v1alpha1"] = API_VERSION
    kind: Literal["TaskType"] = "TaskType"
    metadata: ObjectMeta
    spec: TaskTypeSpec
