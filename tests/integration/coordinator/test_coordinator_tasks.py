"""The life of a task as its tenant sees it over HTTP."""

import json
from typing import Any


async def test_a_submitted_task_is_queued_and_can_be_read(coordinator: Any, refund: Any) -> None:
    answer = await coordinator.acme.post("/v1/tasks", json=refund(labels={"channel": "email"}))

    assert answer.status_code == 201
    task = answer.json()
    assert answer.headers["location"] == f"/v1/tasks/{task['id']}"
    assert task["id"].startswith("interactive.")
    expected = {
        "type": "refund-request", "tenant": "acme", "pool": "interactive", "tier": "capable", "state": "queued",
        "priority": 50, "labels": {"channel": "email"}, "cost_usd": "0", "cost_nano_usd": 0, "error": None,
    }  # fmt: skip
    assert {name: task[name] for name in expected} == expected
    read = (await coordinator.acme.get(f"/v1/tasks/{task['id']}")).json()
    assert {**read, "submitted_at": ""} == {**task, "submitted_at": ""}
    claim = await coordinator.claim()
    assert json.loads(claim.envelope.input) == refund()["input"]
    assert claim.envelope.revision == "r1"
