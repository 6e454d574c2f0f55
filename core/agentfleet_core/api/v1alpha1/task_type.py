"""TaskType: what a kind of task is, which pool and tier it runs on, and how it may fail."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.config import JsonDict

from agentfleet_core.api.declare import Column, Names, Rule
from agentfleet_core.api.v1alpha1.base import (
    ACCEPTED,
    AGE,
    API_VERSION,
    PATTERN_WORDS,
    Conditions,
    DnsLabel,
    Kind,
    ObjectMeta,
    ObjectStatus,
    Resource,
)

HANDLER_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"

PATTERN_WORDS[HANDLER_PATTERN] = "module:function, such as shop.agents:refund"

Handler = Annotated[str, Field(pattern=HANDLER_PATTERN, max_length=253)]
"""A Python callable, `module:function`."""

SET: JsonDict = {"x-kubernetes-list-type": "set"}


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
    """Adaptive: the model decides how long it thinks."""


class Agent(Resource):
    """A model with instructions and tools, run in turns until it answers."""

    system: str = Field("", max_length=100_000)
    """The system prompt, filled as `prompt` is; cached by the provider while it is the same."""
    prompt: str = Field(min_length=1, max_length=100_000)
    """The first user message; `{{ input.field }}` takes the task's input."""
    tools: list[Handler] = Field(default_factory=list, max_length=64, json_schema_extra=SET)
    """Python tools, each `module:function` with a typed signature."""
    max_turns: int = Field(8, ge=1, le=200)
    """Model responses at most."""
    max_output_tokens: int = Field(1_024, ge=1, le=128_000)
    """Output tokens of one response at most: what a reserve holds."""
    thinking: Thinking | None = None
    """Left out: what the provider does when nothing is said."""


MAX_STEPS = 32

# CEL has no index inside all() before Kubernetes 1.33, and the cost of a computed list is unbounded: that of
# a literal one, as long as there can be steps, is known.
INDEXES = str([*range(MAX_STEPS)])
MISPLACED = (
    f"{INDEXES}.filter(i, i < size(self.steps) && !self.steps[i].dependsOn.all(d, "
    f"{INDEXES}.exists(j, j < i && self.steps[j].name == d)))"
)
"""CEL: the indexes of the steps that depend on something other than an earlier step."""


class WorkflowStep(Resource):
    """One handler call of a workflow, journaled under its name."""

    name: DnsLabel
    """Unique in the workflow."""
    handler: Handler
    """A Python coroutine, `module:function`, that takes a TaskContext."""
    depends_on: list[DnsLabel] = Field(default_factory=list, max_length=16, json_schema_extra=SET)
    """Earlier steps whose results this one takes."""


class Workflow(Resource):
    """Handlers in an order that their results dictate."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.steps.all(x, self.steps.exists_one(y, y.name == x.name))",
            field=".steps",
            message="step names must be unique",
            message_expression="'step %s stands twice; give each step a name of its own'"
            ".format([self.steps.filter(x, !self.steps.exists_one(y, y.name == x.name))[0].name])",
        ),
        Rule(
            f"{MISPLACED}.size() == 0",
            field=".steps",
            message="dependsOn must name earlier steps",
            message_expression="'step %s depends on what is no earlier step; correct the name, or move it up'"
            f".format([self.steps[{MISPLACED}[0]].name])",
        ),
    )

    steps: list[WorkflowStep] = Field(min_length=1, max_length=MAX_STEPS)
    """In an order in which each step comes after what it depends on."""


class Timeouts(Resource):
    """Deadlines, counted from the start of what they bound."""

    task_seconds: int = Field(600, ge=1, le=604_800)
    """From the first claim, standing still while the task is parked."""
    step_seconds: int = Field(120, ge=1, le=86_400)
    """Of one step, its retries inside."""
    llm_call_seconds: int = Field(60, ge=1, le=3_600)
    """Of one call to a provider."""
    expires_after_seconds: int = Field(86_400, ge=1, le=2_592_000)
    """From admission to the end, whatever happens."""


class Retry(Resource):
    """How often a failed attempt is followed by another."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.backoffSeconds <= self.maxBackoffSeconds",
            field=".backoffSeconds",
            message="backoffSeconds is above maxBackoffSeconds; lower it, or raise maxBackoffSeconds",
            message_expression="'%d is above maxBackoffSeconds %d; lower it, or raise maxBackoffSeconds'"
            ".format([self.backoffSeconds, self.maxBackoffSeconds])",
        ),
    )

    max_attempts: int = Field(3, ge=1, le=100)
    """Attempts after which a task that keeps failing is a dead letter."""
    backoff_seconds: int = Field(1, ge=0, le=3_600)
    """Wait before the second attempt; doubled for each further one, jittered."""
    max_backoff_seconds: int = Field(60, ge=0, le=86_400)
    """Where the doubling ends."""


class TaskTypeSpec(Resource):
    """What runs, where, and inside which bounds."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.agent), has(self.handler), has(self.workflow)].exists_one(x, x)",
            field=".agent",
            message="set exactly one of agent, handler and workflow",
        ),
        Rule(
            "!(self.pool in self.pools)",
            field=".pools",
            message="pools lists further pools; take the one that stands in pool out of it",
        ),
    )

    pool: DnsLabel
    """The AgentPool that runs these tasks."""
    pools: list[DnsLabel] = Field(default_factory=list, max_length=16, json_schema_extra=SET)
    """Further pools that a submit may choose instead."""
    priority: int = Field(50, ge=0, le=100)
    """Higher starts sooner inside a tenant's share; waiting tasks age, so nothing starves."""
    tier: TierBounds
    """Which models may do the work."""
    agent: Agent | None = None
    """Exactly one of agent, handler and workflow."""
    handler: Handler | None = None
    """A Python coroutine, `module:function`, that takes a TaskContext and the input's fields."""
    workflow: Workflow | None = None
    """Several handlers, each journaled as one step."""
    input_schema: dict[str, Any] = Field(default_factory=dict)
    """JSON Schema (2020-12) of the input; no `$ref` to elsewhere."""
    output_schema: dict[str, Any] = Field(default_factory=dict)
    """JSON Schema of the output; an agent that answers off schema is asked once more, then fails."""
    timeouts: Timeouts = Field(default_factory=Timeouts)
    """When a task, a step, a call ends at the latest."""
    retry: Retry = Field(default_factory=Retry)
    """What follows a failed attempt."""


class TaskTypeStatus(ObjectStatus):
    """Whether the type can be submitted as it stands."""

    conditions: Conditions = Field(default_factory=list)


class TaskType(Kind):
    """A kind of task: what runs, on which pool and tier, with which input, and how it may fail."""

    NAMES: ClassVar[Names] = Names(
        plural="tasktypes",
        singular="tasktype",
        short="tt",
        columns=(
            Column("Pool", "string", ".spec.pool", "Where its tasks run."),
            Column("Tier", "string", ".spec.tier.default", "The ModelTier its tasks get by default."),
            Column("Priority", "integer", ".spec.priority", "Higher starts sooner inside a tenant's share."),
            *ACCEPTED,
            AGE,
        ),
    )

    api_version: Literal["agentfleet.dev/v1alpha1"] = API_VERSION
    kind: Literal["TaskType"] = "TaskType"
    metadata: ObjectMeta
    spec: TaskTypeSpec
    status: TaskTypeStatus = Field(default_factory=TaskTypeStatus)
