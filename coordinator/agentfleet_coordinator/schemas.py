"""The API's shapes for its OpenAPI document. Requests are read by hand; these say what is accepted."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agentfleet_coordinator.requests import (
    KEY_PATTERN,
    LABEL_KEY,
    LABEL_VALUE,
    MAX_BATCH,
    MAX_EXPIRES_SECONDS,
    MAX_KEY_CHARS,
    MAX_LABELS,
    MAX_PRIORITY,
    NAME,
)

State = Literal[
    "queued", "running", "waiting", "parked", "succeeded", "partial", "failed", "dead", "cancelled"
]
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
LabelKey = Annotated[str, Field(pattern=f"^{LABEL_KEY}$")]
LabelValue = Annotated[str, Field(pattern=f"^{LABEL_VALUE}$")]
EXAMPLE_INPUT: dict[str, Any] = {"order": "A-1001", "message": "It arrived broken."}


class Shape(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Problem(Shape):
    """RFC 9457: what is wrong, and what to change."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "https://agentfleet.dev/problems/invalid-request",
                    "title": "Invalid request",
                    "status": 422,
                    "detail": "task type refund-requets does not exist; did you mean refund-request?",
                    "field": "type",
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str


class TaskIn(Shape):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"type": "refund-request", "input": EXAMPLE_INPUT, "labels": {"channel": "email"}},
                {"type": "refund-request", "input": EXAMPLE_INPUT, "tier": "fast", "mode": "reject"},
            ]
        },
    )

    type: Name
    """The TaskType's name."""
    input: dict[str, Any] = Field(default_factory=dict)
    """Fits the TaskType's inputSchema; the task as a whole is at most 64 objects and lists deep."""
    pool: Name | None = None
    """One of the TaskType's pools; its own when left out."""
    tier: Name | None = None
    """Moved into the TaskType's bounds when outside."""
    priority: int | None = Field(None, ge=0, le=MAX_PRIORITY)
    labels: dict[LabelKey, LabelValue] | None = Field(None, max_length=MAX_LABELS)
    mode: Literal["defer", "reject"] | None = None
    """When the budget is spent: wait for it (defer, the default), or answer 402 (reject)."""
    expires_after_seconds: int | None = Field(None, ge=1, le=MAX_EXPIRES_SECONDS)


class BatchItemIn(TaskIn):
    idempotency_key: str | None = Field(None, pattern=f"^{KEY_PATTERN}$")


class BatchIn(Shape):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "tasks": [
                        {"type": "refund-request", "input": EXAMPLE_INPUT, "idempotency_key": "order-A-1001"}
                    ]
                }
            ]
        },
    )

    tasks: list[BatchItemIn] = Field(min_length=1, max_length=MAX_BATCH)


class Task(Shape):
    id: str
    """`<pool>.<ULID>`."""
    type: str
    tenant: str
    pool: str
    tier: str
    state: State
    reason: str
    """Why it is where it is, empty when there is nothing to say."""
    attempt: int
    failures: int
    priority: int
    labels: dict[str, str]
    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    not_before: datetime | None
    """Of a parked task: when it goes on at the latest."""
    cost_usd: str
    """Exact, a decimal."""
    cost_nano_usd: int
    limitations: list[str]
    error: Any | None
    """A problem, of a task that failed."""


class BatchItem(Shape):
    """Either `task` or `problem`."""

    status: int
    task: Task | None = None
    problem: Problem | None = None


class Batch(Shape):
    items: list[BatchItem]
    """In the order of the request."""


class TaskList(Shape):
    items: list[Task]
    next_cursor: str | None
    """None: this was the last page."""


class Step(Shape):
    name: str
    kind: str
    """llm, tool, step or cut."""
    result: Any | None
    tier: str | None
    model: str | None
    usage: dict[str, Any] | None
    error: str | None
    """What a tool that failed told the model."""
    cost_usd: str
    cost_nano_usd: int
    started_at: datetime | None
    ended_at: datetime | None


class Result(Shape):
    id: str
    state: State
    reason: str
    not_before: datetime | None
    """Of a parked task: when it goes on at the latest."""
    output: Any | None
    """None until the task has ended."""
    error: Any | None
    limitations: list[str]
    cost_usd: str
    cost_nano_usd: int
    steps: list[Step]


class Fact(Shape):
    about: str
    text: str


class TaskWhy(Shape):
    task: Task
    facts: list[Fact]
    errors: list[Any]
    """A problem per failed attempt, oldest first."""
    steps: int
    paused: str | None
    text: str
    """For people."""


class PoolWhy(Shape):
    model_config = ConfigDict(extra="allow")

    pool: str
    text: str


class Target(Shape):
    model_config = ConfigDict(json_schema_extra={"examples": [{"target": "pool/interactive"}]})

    target: str = Field(min_length=1, max_length=MAX_KEY_CHARS)
    """`fleet`, `pool/NAME`, `tenant/NAME` or `task-type/NAME`."""
    allow_missing: bool = False
    """Also what does not exist yet."""


class Switched(Shape):
    target: str
    paused: bool
    """Whether it is paused now, for whatever reason."""
    changed: bool
    """False: it was so already."""
    also_paused: str | None
    """What else pauses it, in words: the whole fleet, or its manifest."""


class Fleet(Shape):
    """The whole fleet at a glance."""

    model_config = ConfigDict(extra="allow")

    fleet: dict[str, Any]
    at: datetime
    pools: list[dict[str, Any]]
    tenants: list[dict[str, Any]]
    tiers: list[dict[str, Any]]
    switches: list[dict[str, Any]]
    events: list[dict[str, Any]]
