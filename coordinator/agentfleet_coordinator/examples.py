"""PURE. What the API's description shows as answers: made by the code that answers, of one small fleet."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from agentfleet_coordinator import fleet_view, views
from agentfleet_coordinator.why import explain_task
from agentfleet_core.api.v1alpha1 import AgentPoolSpec
from agentfleet_core.autoscaler.record import encode_plan
from agentfleet_core.autoscaler.state import ScaleEvent
from agentfleet_core.budget.limits import Balance
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.fleet.pauses import Pauses
from agentfleet_core.planner.snapshot import Note, PoolPlan, PoolSnapshot
from agentfleet_core.queue.envelope import Envelope, PoolCounters, TaskRecord, TaskState
from agentfleet_core.queue.step import StepKind, StepRecord
from agentfleet_core.queue.task_view import Json, task_json

TASK_ID = "interactive.01kavqz8s3h6x2m4n7p9q1r5t8"
NOW = datetime(2026, 11, 24, 14, 9, 20, tzinfo=UTC)
ADMITTED_MS = 1_795_529_358_120
COST = 1_204_000
ENVELOPE = Envelope(
    TASK_ID, "acme", "refund-request", 50, "r1", "capable", "TierDefault", b"{}", {"channel": "email"}
)
ENDED = TaskRecord(
    ENVELOPE, ADMITTED_MS, TaskState.SUCCEEDED, 1, 0, ADMITTED_MS + 4, ADMITTED_MS + 1_890,
    output=b'{"text":"We refund order A-1001."}', cost=COST,
)  # fmt: skip
MESSAGE = {"role": "assistant", "content": [{"type": "text", "text": "We refund order A-1001."}]}
USAGE = {"input_tokens": 412, "output_tokens": 38}
TURN = StepRecord(
    StepKind.LLM, "turn-1", MESSAGE, ADMITTED_MS + 10, ADMITTED_MS + 1_880, COST, "capable",
    "claude-sonnet-5-5", USAGE,
)  # fmt: skip
JOURNAL = {"turn-1": TURN.encode()}

TASK = task_json(TaskRecord(ENVELOPE, ADMITTED_MS))

_POOL = PoolSnapshot(
    "interactive", AgentPoolSpec(), NOW.timestamp(), waiting=14, running=11, replicas=3, ready=3,
    service_seconds=2.1, spend_per_hour=2_410_000_000,
)  # fmt: skip
_WANTED = "14 waiting, 11 running, 2.1 s each, 4 at once per worker: so 95 % start within 2 s"
_PLAN = PoolPlan("interactive", 5, 5, "", (Note("WorkAtHand", 5, _WANTED),), wanted=5, next_check_seconds=1.0)
_GREW = ScaleEvent(ADMITTED_MS, 3, 5, "WorkAtHand", _WANTED)
PLAN: Json = json.loads(encode_plan(_POOL, _PLAN, [_GREW]))

_CONFIG = FleetConfig.model_validate(
    {
        "install": "agentfleet",
        "namespace": "fleet",
        "version": 7,
        "pools": {"interactive": {"spec": {}, "revision": "r1"}},
        "tenants": {
            "acme": {
                "budget": "acme",
                "spec": {"tenant": "acme", "limits": [{"name": "day", "period": "Day", "amount": "5.00"}]},
                "keyHashes": [],
            }
        },
        "tiers": {},
    }
)
_COUNTERS = PoolCounters(
    waiting=14, blocked=0, running=11, parked=0, due=0, orphaned=0, oldest_waiting_ms=ADMITTED_MS + 1_180,
    next_due_ms=0, admitted_total=940, started_total=926, ended_total=915, busy_ms_total=0, wait_ms_total=0,
    spent_total=182_000_000, now_ms=ADMITTED_MS + 1_880,
)  # fmt: skip
_BALANCES = [
    Balance(window, 182_000_000, 31_000_000, 0) for window in all_windows(_CONFIG.tenants["acme"].spec, NOW)
]
_SEEN = fleet_view.Seen(
    _CONFIG, NOW, {"interactive": _COUNTERS}, {"interactive": PLAN}, {"acme": _BALANCES}, Pauses(_CONFIG)
)

ANSWERS: Mapping[str, Json] = {
    "Task": TASK,
    "TaskList": {"items": [task_json(ENDED)], "next_cursor": None},
    "Batch": {"items": [{"status": 201, "task": TASK}]},
    "Result": views.result(ENDED, JOURNAL),
    "TaskWhy": explain_task(ENDED, JOURNAL, None),
    "PoolWhy": PLAN | {"paused": None, "behind_caps": []},
    "Fleet": fleet_view.fleet(_SEEN),
    "Switched": {"target": "pool/interactive", "paused": True, "changed": True, "also_paused": None},
}
"""By the name of its shape."""
