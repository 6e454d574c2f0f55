"""Why a task is where it is, as people read it."""

from agentfleet_coordinator.why import explain_task
from agentfleet_core.queue.envelope import Envelope, TaskRecord, TaskState
from agentfleet_core.queue.step import StepKind, StepRecord

OVERLOADED = (
    b'{"title":"Provider error","detail":"The provider answered 529 (overloaded_error) four times in a row."}'
)
USAGE = {"input_tokens": 412, "output_tokens": 96}
SHOP_AWAY = {"content": "lookup_order failed: RuntimeError: the shop is away", "is_error": True}
STEPS = {
    "turn-1": StepRecord(StepKind.LLM, "turn-1", {}, 10, 20, 31_200_000, "fast", "claude-haiku-5-5", USAGE),
    "tool-1-1": StepRecord(StepKind.TOOL, "lookup_order", SHOP_AWAY, 30, 40),
    "tool-1-2": StepRecord(StepKind.TOOL, "lookup_order", {"content": "{}", "is_error": False}, 30, 40),
}
JOURNAL = {key: step.encode() for key, step in STEPS.items()}
TASK_ID = "interactive.01kavqz8s3h6x2m4n7p9q1r5t8"


def record(state: TaskState, **fields: object) -> TaskRecord:
    envelope = Envelope(TASK_ID, "globex", "refund-request", 50, "r1", "fast", "TierBelowLowest", b"{}")
    plain: dict[str, object] = {
        "attempt": 1, "failures": 0, "admitted_ms": 1, "started_ms": 2, "ended_ms": 0, "not_before_ms": 0,
        "reason": "", "output": b"", "error": b"", "errors": (), "limitations": (), "cost": 0, "worker": "",
    }  # fmt: skip
    return TaskRecord(envelope=envelope, state=state, **(plain | fields))  # type: ignore[arg-type]


def test_a_task_that_waits_for_its_tenants_budget() -> None:
    parked = record(
        TaskState.PARKED,
        reason="BudgetExhausted",
        not_before_ms=1_795_561_200_000,
        cost=31_200_000,
        attempt=3,
        failures=1,
        errors=(OVERLOADED,),
    )

    assert (
        explain_task(parked, JOURNAL, None)["text"]
        == f"""\
{TASK_ID} is parked
  route     fast, the lowest that refund-request allows; a cheaper was asked for
            (TierBelowLowest)
  parked    until 2026-11-24T23:00:00.000+00:00: BudgetExhausted
  attempts  3, of which 1 failed; at most 3 may fail
  error     Provider error: The provider answered 529 (overloaded_error) four
            times in a row.
  cost      $0.031200 in 3 journaled steps
            $0.031200 turn-1 (llm, fast, claude-haiku-5-5, 412 in, 96 out)
            lookup_order (tool) failed: RuntimeError: the shop is away"""
    )


def test_a_task_that_waits_because_somebody_paused_the_pool() -> None:
    why = explain_task(record(TaskState.QUEUED, attempt=0), {}, "pool/interactive")

    assert why["paused"] == "pool/interactive"
    assert "  paused    pool/interactive is paused; nothing starts and no paid call is" in why["text"]


def test_a_task_that_ended_with_something_missing() -> None:
    why = explain_task(
        record(TaskState.PARTIAL, reason="TaskTimeout", limitations=("no stock data",)), {}, "fleet"
    )

    assert why["facts"][-1] == {"about": "lacks", "text": "no stock data"}
    assert {"about": "reason", "text": "TaskTimeout"} in why["facts"]
    assert "paused" not in why["text"]
