"""Following a task by server-sent events: in order, resumable, honest about attempts, and ended."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from tests.servers.coordinator import Coordinator, until

from agentfleet_core.queue.envelope import Claim, Event, SettleKind

EventOf = tuple[str, str, dict[str, Any]]


@contextlib.asynccontextmanager
async def following(
    http: httpx.AsyncClient, task_id: str, after: str = ""
) -> AsyncIterator[AsyncIterator[EventOf]]:
    headers = {"last-event-id": after} if after else {}
    async with http.stream("GET", f"/v1/tasks/{task_id}/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = _events(answer)
        yield events
        await events.aclose()


async def _events(answer: httpx.Response) -> AsyncIterator[EventOf]:
    """(id, type, data); a comment is ("", ":", {})."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            yield "", ":", {}
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
            fields = {}


async def until_followed(coordinator: Coordinator, count: int) -> None:
    async def followed() -> bool:
        return coordinator.services.follows.count >= count

    await until(followed)


async def say(coordinator: Coordinator, claim: Claim, type_: str, data: dict[str, Any]) -> None:
    event = Event(claim.envelope.id, claim.attempt, type_, json.dumps(data).encode())
    assert await coordinator.queue().journal([], [event]) is not None


async def test_a_follower_sees_the_task_from_its_start_to_its_end(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    async with following(coordinator.acme, task["id"]) as events:
        claim = await coordinator.claim()
        await say(coordinator, claim, "delta", {"text": "We are"})
        await say(coordinator, claim, "delta", {"text": " sorry."})
        await coordinator.settle(claim)
        seen = [event async for event in events]

    assert [(type_, data.get("text")) for _, type_, data in seen] == [
        ("started", None), ("delta", "We are"), ("delta", " sorry."), ("ended", None),
    ]  # fmt: skip
    assert seen[-1][2] == {"state": "succeeded", "attempt": 1}


async def test_a_follower_resumes_behind_the_last_event_it_got(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    claim = await coordinator.claim()
    await say(coordinator, claim, "delta", {"text": "one"})
    async with following(coordinator.acme, task["id"]) as events:
        await anext(events)
        last, _, _ = await anext(events)
    await say(coordinator, claim, "delta", {"text": "two"})
    await coordinator.settle(claim)

    async with following(coordinator.acme, task["id"], after=last) as events:
        seen = [event async for event in events]

    assert [data.get("text", type_) for _, type_, data in seen] == ["two", "ended"]


async def test_an_attempt_that_starts_over_says_reset(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    first = await coordinator.claim()
    await say(coordinator, first, "delta", {"text": "half an ans"})
    await coordinator.settle(first, SettleKind.HAND_BACK)
    second = await coordinator.claim()
    await say(coordinator, second, "delta", {"text": "a whole answer"})
    await coordinator.settle(second)

    async with following(coordinator.acme, task["id"]) as events:
        seen = [(type_, data["attempt"]) async for _, type_, data in events]

    assert ("reset", 2) in seen
    assert seen.index(("delta", 1)) < seen.index(("reset", 2)) < seen.index(("delta", 2))


async def test_who_comes_after_the_end_gets_the_end(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    await coordinator.settle(await coordinator.claim())
    async with following(coordinator.acme, task["id"]) as events:
        last = [event async for event in events][-1]

    async with following(coordinator.acme, task["id"], after=last[0]) as events:
        seen = [event async for event in events]

    assert [(type_, data["state"]) for _, type_, data in seen] == [("ended", "succeeded")]


async def test_a_quiet_stream_shows_signs_of_life(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentfleet_coordinator.routes.events.HEARTBEAT_SECONDS", 0.01)
    task = await coordinator.submitted()

    async with following(coordinator.acme, task["id"]) as events:
        assert [(await anext(events))[1] for _ in range(3)] == [":", ":", ":"]


async def test_a_task_behind_its_tenants_block_is_told_to_wait(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentfleet_coordinator.routes.events.HEARTBEAT_SECONDS", 0.01)
    await coordinator.submitted()
    dear = await coordinator.claim()
    before = await coordinator.submitted()
    async with following(coordinator.acme, before["id"]) as early:
        assert (await anext(early))[1] == ":"
        due = dear.now_ms + 3_600_000
        await coordinator.settle(dear, SettleKind.PARK, not_before_ms=due, block_tenant=True, reason="Spent")
        after = await coordinator.submitted()
        async with following(coordinator.acme, after["id"]) as late:
            assert await anext(late) == ("", "parked", {"not_before_ms": due, "attempt": 0})
        while (seen := await anext(early))[1] == ":":
            pass
        assert seen == ("", "parked", {"not_before_ms": due, "attempt": 0})
        assert {(await anext(early))[1] for _ in range(3)} == {":"}, "told once"

    for each in (before, after):
        task = (await coordinator.acme.get(f"/v1/tasks/{each['id']}")).json()
        assert (task["state"], task["reason"]) == ("parked", "Spent")
        assert datetime.fromisoformat(task["not_before"]).timestamp() * 1000 == due
        result = (await coordinator.acme.get(f"/v1/tasks/{each['id']}/result")).json()
        assert (result["state"], result["reason"], result["not_before"]) == (
            "parked", "Spent", task["not_before"],
        )  # fmt: skip
        why = (await coordinator.acme.get(f"/v1/tasks/{each['id']}/why")).json()
        assert {"about": "parked", "text": f"until {task['not_before']}: Spent"} in why["facts"]
    parked = (await coordinator.acme.get("/v1/tasks", params={"state": "parked"})).json()["items"]
    assert len(parked) == 3
    assert (await coordinator.acme.get("/v1/tasks", params={"state": "queued"})).json()["items"] == []


async def test_many_followers_share_one_redis_connection(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    before = int((await coordinator.redis.info("clients"))["connected_clients"])

    async def follow() -> list[str]:
        async with following(coordinator.acme, task["id"]) as events:
            return [type_ async for _, type_, _ in events]

    followers = [asyncio.create_task(follow()) for _ in range(60)]
    await until_followed(coordinator, 60)
    during = int((await coordinator.redis.info("clients"))["connected_clients"])
    await coordinator.settle(await coordinator.claim())

    assert all(seen == ["started", "ended"] for seen in await asyncio.gather(*followers))
    assert during - before <= 8
    assert coordinator.services.follows.count == 0


async def test_a_stopping_coordinator_lets_its_followers_go(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    async with following(coordinator.acme, task["id"]) as events:
        await until_followed(coordinator, 1)
        coordinator.services.stop()

        assert [event async for event in events] == []

    assert (await coordinator.nobody.get("/readyz")).text == "stopping\n"


async def test_an_event_id_that_is_none_is_refused(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    headers = {"last-event-id": "$"}
    answer = await coordinator.acme.get(f"/v1/tasks/{task['id']}/events", headers=headers)

    assert (answer.status_code, answer.json()["field"]) == (422, "Last-Event-ID")
