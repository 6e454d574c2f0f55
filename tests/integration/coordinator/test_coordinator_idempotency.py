"""The same submission sent twice is one task, whatever broke in between."""

import asyncio
import contextlib

import pytest
from tests.servers.coordinator import Coordinator, refund

from agentfleet_coordinator.idempotency import note, record_call
from agentfleet_coordinator.intake import Intake
from agentfleet_core.errors import Unavailable
from agentfleet_core.keyspace.keys import TenantKeys
from agentfleet_core.keyspace.scripts import run_all
from agentfleet_core.queue.envelope import Envelope
from agentfleet_core.queue.ids import new_task_id

KEY = {"idempotency-key": "order-A-1001"}


async def waiting(coordinator: Coordinator) -> int:
    return (await coordinator.queue().counters()).waiting


async def test_the_same_key_and_body_is_the_same_task(coordinator: Coordinator) -> None:
    first = await coordinator.acme.post("/v1/tasks", json=refund(labels={"a": "1", "b": "2"}), headers=KEY)
    reordered = dict(reversed(refund(labels={"b": "2", "a": "1"}).items()))
    again = await coordinator.acme.post("/v1/tasks", json=reordered, headers=KEY)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert await waiting(coordinator) == 1


async def test_a_key_in_the_header_and_in_a_batch_is_the_same_key(coordinator: Coordinator) -> None:
    first = await coordinator.acme.post("/v1/tasks", json=refund(), headers=KEY)
    item = refund(idempotency_key=KEY["idempotency-key"])
    (again,) = (await coordinator.acme.post("/v1/tasks/batch", json={"tasks": [item]})).json()["items"]

    assert (again["status"], again["task"]["id"]) == (200, first.json()["id"])


async def test_two_different_keys_in_header_and_body_are_refused(coordinator: Coordinator) -> None:
    answer = await coordinator.acme.post("/v1/tasks", json=refund(idempotency_key="other"), headers=KEY)

    assert (answer.status_code, answer.json()["field"]) == (422, "idempotency_key")


async def test_the_same_key_with_another_body_is_a_conflict_and_enqueues_nothing(
    coordinator: Coordinator,
) -> None:
    first = await coordinator.acme.post("/v1/tasks", json=refund(), headers=KEY)
    other = await coordinator.acme.post("/v1/tasks", json=refund(priority=99), headers=KEY)
    elsewhere = await coordinator.acme.post("/v1/tasks", json=refund(pool="batch"), headers=KEY)

    assert (other.status_code, elsewhere.status_code) == (409, 409)
    assert first.json()["id"] in other.json()["detail"]
    assert "use a new key" in other.json()["detail"]
    assert await waiting(coordinator) == 1
    assert (await coordinator.queue("batch").counters()).waiting == 0


async def test_keys_of_two_tenants_have_nothing_to_do_with_each_other(coordinator: Coordinator) -> None:
    one = await coordinator.acme.post("/v1/tasks", json=refund(), headers=KEY)
    other = await coordinator.globex.post("/v1/tasks", json=refund(priority=1), headers=KEY)

    assert (one.status_code, other.status_code) == (201, 201)
    assert one.json()["id"] != other.json()["id"]


async def test_a_hundred_at_once_with_one_key_are_one_task(coordinator: Coordinator) -> None:
    answers = await asyncio.gather(
        *(coordinator.acme.post("/v1/tasks", json=refund(), headers=KEY) for _ in range(100))
    )

    assert sorted(answer.status_code for answer in answers) == [200] * 99 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await waiting(coordinator) == 1


async def test_a_crash_between_the_record_and_the_queue_loses_nothing(coordinator: Coordinator) -> None:
    """Only the first of the two scripts ran; the client, who got no answer, asks again."""
    promised = new_task_id("interactive")
    noted = note(promised, KEY["idempotency-key"], refund())
    await run_all(coordinator.redis, [record_call(TenantKeys(coordinator.fleet, "acme"), [noted])])
    assert await waiting(coordinator) == 0
    assert (await coordinator.acme.get("/v1/tasks")).json()["items"] == []

    first = await coordinator.acme.post("/v1/tasks", json=refund(), headers=KEY)
    again = await coordinator.acme.post("/v1/tasks", json=refund(), headers=KEY)

    assert (first.status_code, first.json()["id"]) == (201, promised)
    assert (again.status_code, again.json()["id"]) == (200, promised)
    assert await waiting(coordinator) == 1
    assert len((await coordinator.acme.get("/v1/tasks")).json()["items"]) == 1


async def test_a_repeat_after_the_end_shows_the_ended_task(coordinator: Coordinator) -> None:
    await coordinator.acme.post("/v1/tasks", json=refund(), headers=KEY)
    await coordinator.settle(await coordinator.claim())

    again = await coordinator.acme.post("/v1/tasks", json=refund(), headers=KEY)

    assert (again.status_code, again.json()["state"]) == (200, "succeeded")
    assert await waiting(coordinator) == 0


async def test_a_repeat_is_answered_even_when_the_pool_is_full_by_now(coordinator: Coordinator) -> None:
    body = {"type": "crowded"}
    first = await coordinator.acme.post("/v1/tasks", json=body, headers=KEY)
    await coordinator.acme.post("/v1/tasks", json=body)
    assert (await coordinator.acme.post("/v1/tasks", json=body)).status_code == 429

    again = await coordinator.acme.post("/v1/tasks", json=body, headers=KEY)

    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


async def test_a_key_whose_task_is_gone_refuses_only_itself(coordinator: Coordinator) -> None:
    """Redis lost the task and kept the key's record."""
    task = (await coordinator.acme.post("/v1/tasks", json=refund(), headers=KEY)).json()
    queue = coordinator.queue()
    await coordinator.acme.post(f"/v1/tasks/{task['id']}/cancel")
    await coordinator.redis.delete(queue.calls.keys.task(task["id"]))
    long_ago = new_task_id("interactive").partition(".")[2]
    old = f"interactive.01kapqz8s3{long_ago[10:]}"
    prefix = TenantKeys(coordinator.fleet, "acme").idempotency_prefix
    record = (await coordinator.redis.get(prefix + KEY["idempotency-key"])).decode()
    await coordinator.redis.set(prefix + KEY["idempotency-key"], record.replace(task["id"], old))

    alone = await coordinator.acme.post("/v1/tasks", json=refund(), headers=KEY)
    tasks = [refund(idempotency_key=KEY["idempotency-key"]), refund()]
    batch = (await coordinator.acme.post("/v1/tasks/batch", json={"tasks": tasks})).json()["items"]

    assert (alone.status_code, [item["status"] for item in batch]) == (409, [409, 201])
    assert "use a new key" in alone.json()["detail"]


@pytest.mark.parametrize("error", [Unavailable("Redis cannot be reached"), RuntimeError("a defect")])
async def test_whoever_waits_for_an_intake_that_fails_is_told(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def lost(*_: object) -> list[object]:
        raise error

    monkeypatch.setattr("agentfleet_coordinator.intake.run_each", lost)
    intake = Intake(coordinator.redis, coordinator.fleet, coordinator.services.queues)
    envelope = Envelope(new_task_id("batch"), "acme", "anything", 50, "r1", "fast", "TierDefault", b"{}")

    waiting_for = [intake.submit(envelope, note(envelope.id, None, {})) for _ in range(3)]
    with contextlib.suppress(RuntimeError):
        await intake.close()

    outcomes = await asyncio.gather(*waiting_for, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}


async def test_one_pool_that_refuses_leaves_the_others_alone(coordinator: Coordinator) -> None:
    """A script that Redis refuses (a key is of the wrong kind) fails its own tasks, not its neighbours'."""
    await coordinator.redis.set(coordinator.queue("batch").calls.keys.expiry, "not a sorted set")
    tasks = [refund(), refund(pool="batch"), refund()]

    broken, *_ = await asyncio.gather(
        coordinator.acme.post("/v1/tasks", json=tasks[1]),
        *(coordinator.acme.post("/v1/tasks", json=task) for task in (tasks[0], tasks[2])),
    )

    assert broken.status_code == 500
    assert await waiting(coordinator) == 2
