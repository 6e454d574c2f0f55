"""A batch answers each item: whatever goes wrong with one, those that were admitted are told their ids."""

import json
from typing import Any

import pytest
from tests.servers.coordinator import Coordinator, refund

from agentfleet_coordinator import submit
from agentfleet_coordinator.admission import admit
from agentfleet_coordinator.queues import Queues
from agentfleet_core.errors import Unavailable
from agentfleet_core.queue.envelope import TaskRecord


async def items_of(coordinator: Coordinator, *tasks: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await coordinator.acme.post("/v1/tasks/batch", json={"tasks": list(tasks)})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_a_repeat_that_cannot_be_read_costs_no_other_item_its_answer(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = refund(idempotency_key="k1")
    await items_of(coordinator, first)

    async def unreadable(self: Queues, task_ids: list[str]) -> list[TaskRecord | None]:
        raise Unavailable("Redis is out of reach")

    monkeypatch.setattr(Queues, "read_many", unreadable)
    repeated, fresh = await items_of(coordinator, first, refund(idempotency_key="k2"))

    assert (repeated["status"], repeated["problem"]["title"]) == (503, "Unavailable")
    assert fresh["status"] == 201
    assert (await coordinator.acme.get(f"/v1/tasks/{fresh['task']['id']}")).status_code == 200


async def test_a_pool_whose_records_are_damaged_fails_its_own_items_alone(coordinator: Coordinator) -> None:
    await coordinator.redis.set(f"{coordinator.queue('batch').calls.keys.tag}:expiry", "no set of ids")

    broken, fine = await items_of(coordinator, {"type": "anything"}, refund())

    assert (broken["status"], broken["problem"]["title"]) == (500, "Internal error")
    assert fine["status"] == 201


async def test_a_defect_that_one_item_meets_is_that_items_answer(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defective(catalog: Any, tenant: str, request: Any, *rest: Any) -> Any:
        if request.type == "anything":
            raise RuntimeError("what nobody foresaw")
        return admit(catalog, tenant, request, *rest)

    monkeypatch.setattr(submit, "admit", defective)
    *fine, broken = await items_of(coordinator, *[refund()] * 400, {"type": "anything"})

    assert {item["status"] for item in fine} == {201}
    assert broken["status"] == 500
    assert "what nobody foresaw" not in str(broken), "our own texts stay in the log"


async def test_an_item_that_is_no_json_is_its_own_refusal(coordinator: Coordinator) -> None:
    fine = json.dumps(refund()).encode()
    items = [
        fine,
        b'{"type": "anything", "input": {"s": "\xff"}}',
        b'{"type": "anything", "input": NaN}',
        fine,
    ]
    body = b'{"tasks": [' + b",".join(items) + b"]}"

    answer = await coordinator.acme.post("/v1/tasks/batch", content=body)

    assert answer.status_code == 200, answer.text
    told = answer.json()["items"]
    assert [item["status"] for item in told] == [201, 400, 400, 201]
    assert "the item is not JSON" in told[1]["problem"]["detail"]
