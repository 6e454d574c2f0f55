"""Replicas as local processes, against a fork server that only takes notes."""

import asyncio
from typing import Any, cast

import pytest

from agentfleet_cli.local import actuator as module
from agentfleet_cli.local.actuator import LocalActuator
from agentfleet_cli.local.fork_server import ForkServer
from agentfleet_core.api.v1alpha1 import AgentPoolSpec
from agentfleet_core.fleet.config import CompiledPool
from agentfleet_core.planner.snapshot import PoolPlan

POOL = CompiledPool(spec=AgentPoolSpec(), revision="r1")


class Notes:
    """Says `started` at once; ends a worker when it is told to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.said: list[tuple[str, str]] = []
        self.actuator = LocalActuator(
            lambda pool, worker, compiled: {"POOL": pool}, self.forget, self.lines.append
        )
        self.forgotten: list[str] = []
        self.actuator.attach(cast("ForkServer", self))
        self.actuator.follow({"batch": POOL})

    async def spawn(self, worker: str, environment: dict[str, str]) -> None:
        assert environment == {"POOL": "batch"}
        self.said.append(("spawn", worker))
        self.actuator.on_event("started", worker, {})

    async def stop(self, worker: str) -> None:
        """Ends at once when it was told twice."""
        self.said.append(("stop", worker))
        if self.said.count(("stop", worker)) == 2:
            self.ends(worker)

    async def kill(self, worker: str) -> None:
        self.said.append(("kill", worker))
        self.ends(worker, code=-9)

    async def forget(self, pool: str, worker: str) -> None:
        self.forgotten.append(worker)

    def ends(self, worker: str, code: int = 0) -> None:
        self.actuator.on_event("exited", worker, {"code": code})


def plan(replicas: int, victims: tuple[str, ...] = ()) -> PoolPlan:
    return PoolPlan("batch", replicas, replicas, "", (), victims=victims)


def seen(notes: Notes) -> Any:
    observation = notes.actuator.observe("batch")
    assert observation is not None
    return observation


async def test_a_pool_grows_and_the_victims_leave() -> None:
    notes = Notes()
    await notes.actuator.apply("batch", POOL, plan(3))
    assert (seen(notes).replicas, seen(notes).ready) == (3, 3)
    await notes.actuator.apply("batch", POOL, plan(2, victims=("batch-2",)))
    assert notes.said[-1] == ("stop", "batch-2")
    assert seen(notes).live_workers == {"batch-1", "batch-3"}
    notes.ends("batch-2")


async def test_at_the_end_workers_hand_back_and_none_is_replaced() -> None:
    notes = Notes()
    await notes.actuator.apply("batch", POOL, plan(2))
    await notes.actuator.close()
    assert notes.said[2:] == [("stop", "batch-1"), ("stop", "batch-2")] * 2
    assert notes.actuator.observe("batch") is None


async def test_a_worker_that_dies_is_replaced_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_BACKOFF_SECONDS", 0.0)
    notes = Notes()
    await notes.actuator.apply("batch", POOL, plan(1))
    woken = asyncio.Event()
    notes.actuator.wake = lambda pool: (
        woken.set() if seen(notes).ready and ("spawn", "batch-2") in notes.said else None
    )
    notes.ends("batch-1", code=-9)
    assert seen(notes).ready == 0
    await asyncio.wait_for(woken.wait(), 5)
    assert notes.forgotten == ["batch-1"]
    assert notes.lines == ["worker batch-1 ended with code -9; another starts in 0.0 s"]
    assert seen(notes).live_workers == {"batch-2"}


async def test_new_code_gets_new_workers_while_the_old_ones_drain() -> None:
    notes = Notes()
    await notes.actuator.apply("batch", POOL, plan(2))
    await notes.actuator.renew()
    assert notes.said[2:4] == [("stop", "batch-1"), ("stop", "batch-2")]
    assert seen(notes).live_workers == {"batch-3", "batch-4"}
    assert (seen(notes).replicas, seen(notes).ready) == (2, 2)
    notes.ends("batch-1")
    notes.ends("batch-2")
    await asyncio.gather(*notes.actuator._tasks)
    assert notes.forgotten == ["batch-1", "batch-2"]
    assert notes.lines == [], "they were told to"
    assert notes.said[4:] == [("spawn", "batch-3"), ("spawn", "batch-4")]


async def test_a_pool_that_left_the_manifests_is_emptied() -> None:
    notes = Notes()
    await notes.actuator.apply("batch", POOL, plan(2))
    notes.actuator.follow({})
    await asyncio.gather(*notes.actuator._tasks)
    assert [word for word, _ in notes.said[2:]] == ["stop", "stop"]


async def test_a_pool_that_nobody_has_named_is_unknown() -> None:
    assert Notes().actuator.observe("other") is None
