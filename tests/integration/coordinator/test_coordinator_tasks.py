"""The life of a task as its tenant sees it over HTTP."""

import asyncio
import json

from tests.servers.coordinator import Coordinator, refund

from agentfleet_core.keyspace.keys import TenantKeys
from agentfleet_core.queue.envelope import JournalEntry, SettleKind, TaskState
from agentfleet_core.queue.step import StepKind, StepRecord


async def test_a_submitted_task_is_queued_and_can_be_read(coordinator: Coordinator) -> None:
    answer = await coordinator.acme.post("/v1/tasks", json=refund(labels={"channel": "email"}))

    assert answer.status_code == 201
    task = answer.json()
    assert answer.headers["location"] == f"/v1/tasks/{task['id']}"
    assert task["id"].startswith("interactive.")
    assert (task["type"], task["tenant"], task["pool"], task["tier"]) == (
        "refund-request", "acme", "interactive", "capable",
    )  # fmt: skip
    assert (task["state"], task["priority"], task["labels"]) == ("queued", 50, {"channel": "email"})
    assert (task["cost_usd"], task["cost_nano_usd"], task["error"]) == ("0", 0, None)
    read = (await coordinator.acme.get(f"/v1/tasks/{task['id']}")).json()
    assert read == task
    claim = await coordinator.claim()
    assert json.loads(claim.envelope.input) == refund()["input"]
    assert claim.envelope.revision == "r1"


async def test_a_submit_may_choose_pool_priority_and_tier_inside_the_types_bounds(
    coordinator: Coordinator,
) -> None:
    task = await coordinator.submitted(pool="batch", priority=90, tier="fast", expires_after_seconds=60)

    assert (task["pool"], task["priority"], task["tier"]) == ("batch", 90, "fast")
    claim = await coordinator.claim("batch")
    assert claim.envelope.expires_after_seconds == 60
    assert claim.envelope.tier_reason == "TierRequested"


async def test_a_finished_task_gives_its_output_steps_and_cost(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    claim = await coordinator.claim()
    step = StepRecord(
        StepKind.LLM,
        "decide",
        {"text": "yes"},
        1_000,
        2_000,
        1_500_000,
        "capable",
        "model-2",
        {"input_tokens": 9},
    )
    entry = JournalEntry(claim.envelope.id, claim.attempt, "decide", step.encode(), 1_500_000)
    await coordinator.queue().journal([entry])
    await coordinator.settle(
        claim, output=b'{"reply":"yes"}', limitations=("no stock data: the lookup timed out",)
    )

    result = (await coordinator.acme.get(f"/v1/tasks/{task['id']}/result")).json()

    assert result["state"] == "succeeded"
    assert result["output"] == {"reply": "yes"}
    assert result["limitations"] == ["no stock data: the lookup timed out"]
    assert (result["cost_usd"], result["cost_nano_usd"]) == ("0.0015", 1_500_000)
    (found,) = result["steps"]
    assert (found["name"], found["kind"], found["result"]) == ("decide", "llm", {"text": "yes"})
    assert (found["model"], found["cost_usd"], found["usage"]) == ("model-2", "0.0015", {"input_tokens": 9})


async def test_a_result_is_answered_the_moment_the_task_ends(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    path = f"/v1/tasks/{task['id']}/result"
    waiting = asyncio.create_task(coordinator.acme.get(path, params={"wait_seconds": 30}))
    claim = await coordinator.claim()
    await coordinator.settle(claim, output=b"42")

    answer = (await asyncio.wait_for(waiting, 10)).json()

    assert (answer["state"], answer["output"]) == ("succeeded", 42)


async def test_a_result_that_is_not_there_in_time_says_how_far_the_task_is(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()

    answer = await coordinator.acme.get(f"/v1/tasks/{task['id']}/result", params={"wait_seconds": 0.05})

    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["output"]) == ("queued", None)


async def test_a_queued_task_can_be_cancelled_once_and_for_all(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()

    cancelled = await coordinator.acme.post(f"/v1/tasks/{task['id']}/cancel")
    again = await coordinator.acme.post(f"/v1/tasks/{task['id']}/cancel")

    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")
    assert await coordinator.queue().claim("worker-1", 1, lease_ms=1_000) == []


async def test_an_ended_task_cannot_be_cancelled(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    await coordinator.settle(await coordinator.claim())

    refused = await coordinator.acme.post(f"/v1/tasks/{task['id']}/cancel")

    assert refused.status_code == 409
    assert "has ended succeeded" in refused.json()["detail"]


async def test_deleting_erases_content_and_keeps_the_cost(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    early = await coordinator.acme.delete(f"/v1/tasks/{task['id']}")
    await coordinator.settle(await coordinator.claim(), output=b'"secret"', cost=7)

    deleted = await coordinator.acme.delete(f"/v1/tasks/{task['id']}")
    again = await coordinator.acme.delete(f"/v1/tasks/{task['id']}")

    assert early.status_code == 409
    assert "cancel it first" in early.json()["detail"]
    assert (deleted.status_code, again.status_code) == (204, 204)
    result = (await coordinator.acme.get(f"/v1/tasks/{task['id']}/result")).json()
    assert (result["state"], result["output"], result["cost_nano_usd"]) == ("succeeded", None, 7)


async def test_why_a_task_is_parked(coordinator: Coordinator) -> None:
    task = await coordinator.submitted(tier="fast")
    claim = await coordinator.claim()
    error = b'{"title":"Provider error","detail":"The provider answered 529."}'
    await coordinator.settle(
        claim, SettleKind.RETRY, error=error, reason="ProviderOverloaded", not_before_ms=claim.now_ms + 60_000
    )

    why = (await coordinator.acme.get(f"/v1/tasks/{task['id']}/why")).json()

    assert why["task"]["state"] == "parked"
    assert why["errors"] == [json.loads(error)]
    text = why["text"].splitlines()
    assert text[0] == f"{task['id']} is parked"
    assert "  route     fast, as the submit asked (TierRequested)" in text
    assert any(line.startswith("  parked    until ") and line.endswith("ProviderOverloaded") for line in text)
    assert "  error     Provider error: The provider answered 529." in text


async def test_a_list_is_newest_first_in_pages_and_filtered(coordinator: Coordinator) -> None:
    ids = [(await coordinator.submitted(labels={"n": str(n % 2)}))["id"] for n in range(5)]
    batch = await coordinator.submitted(pool="batch")
    await coordinator.acme.post(f"/v1/tasks/{ids[0]}/cancel")

    async def listed(**query: object) -> list[str]:
        answer = await coordinator.acme.get("/v1/tasks", params=query)
        assert answer.status_code == 200, answer.text
        return [task["id"] for task in answer.json()["items"]]

    assert await listed() == [batch["id"], *reversed(ids)]
    assert await listed(pool="batch") == [batch["id"]]
    assert await listed(state="cancelled") == [ids[0]]
    assert await listed(label="n=1") == [ids[3], ids[1]]
    assert await listed(type="anything") == []

    first = (await coordinator.acme.get("/v1/tasks", params={"limit": 4})).json()
    second = (
        await coordinator.acme.get("/v1/tasks", params={"limit": 4, "cursor": first["next_cursor"]})
    ).json()
    assert [task["id"] for page in (first, second) for task in page["items"]] == await listed()
    assert second["next_cursor"] is None


async def test_a_cursor_goes_on_although_its_own_task_has_left_the_index(coordinator: Coordinator) -> None:
    ids = [(await coordinator.submitted())["id"] for _ in range(4)]
    first = (await coordinator.acme.get("/v1/tasks", params={"limit": 2})).json()
    await coordinator.redis.zrem(TenantKeys(coordinator.fleet, "acme").index, ids[2])

    second = (await coordinator.acme.get("/v1/tasks", params={"cursor": first["next_cursor"]})).json()

    assert [task["id"] for task in second["items"]] == [ids[1], ids[0]]


async def test_a_batch_answers_each_item(coordinator: Coordinator) -> None:
    tasks = [
        refund(),
        {"type": "nothing"},
        refund(input={"order": 7}),
        refund(idempotency_key="k"),
        refund(idempotency_key="k"),
    ]

    answer = await coordinator.acme.post("/v1/tasks/batch", json={"tasks": tasks})

    assert answer.status_code == 200
    items = answer.json()["items"]
    assert [item["status"] for item in items] == [201, 422, 422, 201, 200]
    assert items[1]["problem"]["field"] == "type"
    assert items[2]["problem"]["field"] == "input"
    assert items[3]["task"]["id"] == items[4]["task"]["id"]
    assert (await coordinator.queue().counters()).waiting == 2


async def test_a_thousand_tasks_in_one_request(coordinator: Coordinator) -> None:
    tasks = [refund(idempotency_key=f"key-{n}") for n in range(1_000)]

    first = (await coordinator.acme.post("/v1/tasks/batch", json={"tasks": tasks})).json()["items"]
    again = (await coordinator.acme.post("/v1/tasks/batch", json={"tasks": tasks})).json()["items"]

    assert {item["status"] for item in first} == {201}
    assert {item["status"] for item in again} == {200}
    assert [item["task"]["id"] for item in first] == [item["task"]["id"] for item in again]
    assert (await coordinator.queue().counters()).waiting == 1_000


async def test_tenants_do_not_see_each_other(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    path = f"/v1/tasks/{task['id']}"

    for method, where in (
        ("GET", path), ("GET", f"{path}/result"), ("GET", f"{path}/why"), ("GET", f"{path}/events"),
        ("POST", f"{path}/cancel"), ("DELETE", path),
    ):  # fmt: skip
        answer = await coordinator.globex.request(method, where)
        assert (answer.status_code, answer.json()["title"]) == (404, "Not found"), where
    assert (await coordinator.globex.get("/v1/tasks")).json()["items"] == []
    assert (await coordinator.acme.get(path)).json()["state"] == "queued"


async def test_an_admin_sees_every_tenants_tasks_and_submits_none(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()

    assert (await coordinator.admin.get(f"/v1/tasks/{task['id']}")).json()["tenant"] == "acme"
    listed = (await coordinator.admin.get("/v1/tasks", params={"tenant": "acme"})).json()
    assert [each["id"] for each in listed["items"]] == [task["id"]]
    assert (await coordinator.admin.get("/v1/tasks")).json()["field"] == "tenant"
    refused = await coordinator.admin.post("/v1/tasks", json=refund())
    assert (refused.status_code, refused.json()["title"]) == (403, "Forbidden")


async def test_the_index_forgets_tasks_that_are_gone(coordinator: Coordinator) -> None:
    gone = await coordinator.submitted()
    kept = await coordinator.submitted()
    key = TenantKeys(coordinator.fleet, "acme").index
    two_days_ago = float(await coordinator.redis.zscore(key, gone["id"]) or 0) - 2 * 86_400e6
    await coordinator.redis.zadd(key, {gone["id"]: two_days_ago, kept["id"]: two_days_ago + 1})
    await coordinator.redis.delete(coordinator.queue().calls.keys.task(gone["id"]))

    assert await coordinator.services.index.sweep("acme") == 1

    assert [each["id"] for each in (await coordinator.acme.get("/v1/tasks")).json()["items"]] == [kept["id"]]


async def test_what_tasks_of_a_type_cost_is_learned_for_fair_share(coordinator: Coordinator) -> None:
    await coordinator.submitted()
    claim = await coordinator.claim()
    assert claim.envelope.expected_cost == 0
    await coordinator.settle(claim, state=TaskState.SUCCEEDED, cost=2_000_000)

    await coordinator.services.costs.learn()

    await coordinator.submitted()
    assert (await coordinator.claim()).envelope.expected_cost == 2_000_000
