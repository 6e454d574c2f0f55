"""Whole scaling stories as plain text: the real planner on a simulated pool, seeded, in simulated time.

Each line says when, how many workers were asked for, why, and what the pool looked like. A changed story is a
changed behaviour: read the diff, then write it anew with `--update-golden`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from agentfleet_core.api.v1alpha1 import AgentPoolSpec
from agentfleet_core.autoscaler.state import PoolState
from agentfleet_core.fleet.config import CompiledPool
from agentfleet_core.planner.explain import explain
from agentfleet_core.planner.plan import plan
from agentfleet_core.planner.snapshot import PoolPlan
from agentfleet_core.testing.simulated_fleet import SimulatedFleet, SimulatedTask

STORIES = Path(__file__).parent / "scaling"


@dataclass
class Story:
    """A pool with its planner; `play` lets time go on and writes down what changes."""

    scaling: dict[str, Any]
    spec: dict[str, Any] = field(default_factory=dict)
    known: bool = True
    paused: str | None = None
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fleet = SimulatedFleet(concurrency=4, start_seconds=6.0, seed=4)
        self.random = Random(4)
        self.state = PoolState("chat")
        self.last: PoolPlan | None = None

    def submit(self, count: int, *, within: float = 1.0, service: float = 4.0, **task: Any) -> None:
        """So many tasks, spread over the next seconds, that take about as long as said."""
        self.say(
            f"{count} tasks arrive, about {service:g} s each"
            + (f" ({task['tenant']})" if "tenant" in task else "")
        )
        self.fleet.submit(
            SimulatedTask(
                self.fleet.now + self.random.random() * within,
                service * self.random.uniform(0.5, 1.5),
                **task,
            )
            for _ in range(count)
        )

    def stream(self, rate: float, seconds: float, *, service: float = 4.0, **task: Any) -> None:
        self.say(f"{rate:g} tasks a second for {seconds:g} s, about {service:g} s each")
        at = self.fleet.now
        end = at + seconds
        tasks = []
        while (at := at + self.random.expovariate(rate)) < end:
            tasks.append(SimulatedTask(at, service * self.random.uniform(0.5, 1.5), **task))
        self.fleet.submit(tasks)

    def play(self, seconds: float) -> None:
        end = self.fleet.now + seconds
        while self.fleet.now < end:
            self.look()
            self.fleet.advance(min(end, self.fleet.now + 1.0))

    def look(self) -> None:
        seen = self.fleet.observation()
        self.state.known = self.known
        if self.known:
            self.state.read(self.fleet.counters(), self.fleet.now)
            self.state.read_workers(self.fleet.records(), seen.live_workers)
        compiled = CompiledPool(
            spec=AgentPoolSpec.model_validate({"concurrency": 4, "scaling": self.scaling, **self.spec}),
            revision="r1",
        )
        snapshot = self.state.see(compiled, seen, self.paused, self.fleet.now)
        made = plan(snapshot)
        event = self.state.remember(snapshot, made)
        if event is not None:
            self.say(f"{event.before} → {event.after}  {event.reason}: {event.text}")
        if made.drain:
            self.say(f"{len(made.drain)} told to claim nothing more, holding {self._held(made.drain)}")
        self.fleet.drain(made.drain)
        if made.replicas != self.fleet.replicas:
            self.fleet.scale(made.replicas, made.victims)
        self.last = made

    def say(self, text: str) -> None:
        minutes, seconds = divmod(round(self.fleet.now), 60)
        self.lines.append(f"{minutes:02}:{seconds:02}  {text}")

    def why(self) -> None:
        assert self.last is not None
        self.lines += ["", *explain(self.last).splitlines(), ""]

    def end(self) -> str:
        totals = self.fleet.totals
        in_time = sum(wait <= self.scaling.get("targetWaitSeconds", 5) for wait in totals.waits)
        self.lines += [
            "",
            f"{totals.ended} tasks ended, {totals.interrupted} were interrupted, {in_time} began in time",
        ]
        return "\n".join(self.lines) + "\n"

    def _held(self, names: Iterable[str]) -> str:
        held = [self.fleet.workers[name].held for name in names]
        return ", ".join(map(str, held)) + (" tasks" if held != [1] else " task")


def a_burst_from_zero_and_back() -> Story:
    story = Story({"maxReplicas": 6, "idleSecondsToZero": 60})
    story.play(5)
    story.submit(30)
    story.play(140)
    return story


def steady_work_is_staffed_and_left_alone() -> Story:
    story = Story({"maxReplicas": 20, "targetWaitSeconds": 2})
    story.stream(4, 240)
    story.play(240)
    story.why()
    return story


def bursts_that_come_back_are_held_for_and_then_let_go() -> Story:
    story = Story({"maxReplicas": 20, "targetWaitSeconds": 2, "idleSecondsToZero": 600})
    for _ in range(5):
        story.submit(40, within=3.0, service=2.0)
        story.play(45)
    story.why()
    story.say("no more come")
    story.play(420)
    return story


def the_spend_brake() -> Story:
    story = Story({"maxReplicas": 10, "maxSpendPerHour": "20.00"})
    story.submit(300, within=60.0, service=8.0, cost=8_000_000)
    story.play(90)
    story.why()
    return story


def an_exhausted_tenant_does_not_scale_until_its_budget_resets() -> Story:
    story = Story({"maxReplicas": 10, "idleSecondsToZero": 10})
    story.say("globex has spent its day")
    story.fleet.block("globex")
    story.submit(40, tenant="globex")
    story.submit(4, tenant="acme")
    story.play(60)
    story.why()
    story.say("a new day: globex may spend again")
    story.fleet.unblock("globex")
    story.play(30)
    return story


def a_rollout_holds_the_number() -> Story:
    story = Story({"maxReplicas": 8, "idleSecondsToZero": 5})
    story.submit(24)
    story.play(12)
    story.say("a rollout begins")
    story.fleet.rolling_out = True
    story.play(30)
    story.why()
    story.say("the rollout is done")
    story.fleet.rolling_out = False
    story.play(30)
    return story


def long_tasks_are_never_interrupted() -> Story:
    story = Story({"maxReplicas": 8, "idleSecondsToZero": 20, "targetWaitSeconds": 1})
    story.submit(24, service=60.0)
    story.play(30)
    story.submit(6, service=2.0)
    story.play(150)
    return story


def unknown_data_shrinks_nothing() -> Story:
    story = Story({"maxReplicas": 8, "idleSecondsToZero": 5})
    story.submit(20)
    story.play(10)
    story.say("Redis is silent")
    story.known = False
    story.play(60)
    story.why()
    story.say("Redis answers")
    story.known = True
    story.play(40)
    return story


def a_pin_decides_alone() -> Story:
    story = Story({"maxReplicas": 8, "idleSecondsToZero": 5}, spec={"replicas": 3})
    story.play(10)
    story.submit(60)
    story.play(40)
    story.why()
    story.say("unpinned")
    story.spec = {}
    story.play(30)
    return story


def a_paused_pool_stays_as_it_is() -> Story:
    story = Story({"maxReplicas": 8, "idleSecondsToZero": 5})
    story.submit(20)
    story.play(10)
    story.say("somebody pauses the fleet")
    story.paused = "fleet"
    story.fleet.paused = True
    story.submit(50)
    story.play(30)
    story.why()
    story.say("resumed")
    story.paused = None
    story.fleet.paused = False
    story.play(40)
    return story


def arrivals_that_flap_do_not_make_the_number_flap() -> Story:
    story = Story({"maxReplicas": 12, "targetWaitSeconds": 2, "stabilizationSeconds": 30})
    for _ in range(6):
        story.stream(6, 10, service=3.0)
        story.play(10)
        story.stream(1, 10, service=3.0)
        story.play(10)
    return story


def the_maximum_is_reached_and_said() -> Story:
    story = Story({"maxReplicas": 3})
    story.submit(200)
    story.play(30)
    story.why()
    story.play(120)
    return story


def another_manager_writes_the_replicas() -> Story:
    story = Story({"maxReplicas": 8})
    story.submit(20)
    story.play(10)
    story.say("something else sets 2 replicas")
    story.fleet.scale(2, [name for name, worker in story.fleet.workers.items() if not worker.held])
    story.fleet.contested = True
    story.submit(40)
    story.play(20)
    story.why()
    return story


def what_a_dead_worker_held_is_work_once() -> Story:
    story = Story({"maxReplicas": 8, "targetWaitSeconds": 2, "idleSecondsToZero": 60})
    story.submit(8, service=60.0)
    story.play(20)
    lost = next(name for name, worker in story.fleet.workers.items() if worker.held)
    story.say(f"a worker dies, holding {story._held([lost])}")
    story.fleet.lose(lost)
    story.fleet.scale(story.fleet.replicas)
    story.look()
    story.why()
    story.play(160)
    return story


ALL: tuple[Callable[[], Story], ...] = (
    a_burst_from_zero_and_back,
    steady_work_is_staffed_and_left_alone,
    bursts_that_come_back_are_held_for_and_then_let_go,
    the_spend_brake,
    an_exhausted_tenant_does_not_scale_until_its_budget_resets,
    a_rollout_holds_the_number,
    long_tasks_are_never_interrupted,
    unknown_data_shrinks_nothing,
    a_pin_decides_alone,
    a_paused_pool_stays_as_it_is,
    arrivals_that_flap_do_not_make_the_number_flap,
    the_maximum_is_reached_and_said,
    what_a_dead_worker_held_is_work_once,
)


@pytest.mark.parametrize("tell", ALL, ids=lambda tell: tell.__name__)
def test_scaling_stories(tell: Callable[[], Story], request: pytest.FixtureRequest) -> None:
    story = tell()
    told = story.end()
    path = STORIES / f"{tell.__name__}.txt"
    if request.config.getoption("--update-golden"):
        STORIES.mkdir(exist_ok=True)
        path.write_text(told)

    assert story.fleet.totals.interrupted == 0
    assert told == path.read_text()


def test_another_managers_number_stands() -> None:
    story = another_manager_writes_the_replicas()

    assert story.fleet.replicas == 2
    assert story.last is not None
    assert story.last.limited_by == "ReplicasContested"
