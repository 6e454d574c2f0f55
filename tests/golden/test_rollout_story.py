"""Rollouts of a pool's revisions as stories: the real decision, played against a small imitation of the
controllers.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agentfleet_operator.rollout import PoolRollout, RevisionView, Step, WorkerState, next_step

STORIES = Path(__file__).parent / "rollouts"


@dataclass
class Controllers:
    """Deployments and their pods: a pod becomes ready a step after it was made; the cheapest pods leave
    first.
    """

    current: str
    wanted: int
    replicas: dict[str, int]
    workers: list[WorkerState] = field(default_factory=list)
    made: int = 0
    transcript: list[str] = field(default_factory=list)

    def view(self) -> PoolRollout:
        revisions = [
            RevisionView(name, count, sum(w.ready for w in self.workers if w.revision == name))
            for name, count in self.replicas.items()
        ]
        return PoolRollout(self.current, self.wanted, revisions, self.workers)

    def say(self, text: str) -> None:
        self.transcript.append(text)

    def carry_out(self, step: Step) -> None:
        for worker in step.drain:
            self.say(f"    drain {worker}")
            self.workers = [replace(w, draining=True) if w.id == worker else w for w in self.workers]
        for revision, count in step.replicas.items():
            self.say(f"    {revision} {self.replicas.get(revision, 'none')} -> {count}")
            self.replicas[revision] = count
        for victim in step.victims:
            [gone] = [w for w in self.workers if w.id == victim]
            assert gone.held == 0, f"{victim} was removed while it held {gone.held} tasks"
            self.say(f"    {victim} leaves")
            self.workers.remove(gone)
        for revision in step.retire:
            self.say(f"    {revision} retires")
            del self.replicas[revision]

    def settle(self) -> None:
        """What the cluster does between two looks."""
        self.workers = [replace(w, ready=True) for w in self.workers]
        for revision, count in self.replicas.items():
            while sum(w.revision == revision for w in self.workers) < count:
                self.made += 1
                self.workers.append(WorkerState(f"{revision}-{self.made}", revision, False, False, 0))

    def finish(self, worker: str) -> None:
        self.say(f"    {worker} finishes its tasks")
        self.workers = [replace(w, held=0) if w.id == worker else w for w in self.workers]


def play(world: Controllers, looks: int, finishing: dict[int, str]) -> str:
    for look in range(1, looks + 1):
        world.say(f"look {look}: " + _state(world))
        if look in finishing:
            world.finish(finishing[look])
        world.carry_out(next_step(world.view()))
        world.settle()
    world.say("end: " + _state(world))
    return "\n".join(world.transcript) + "\n"


def _state(world: Controllers) -> str:
    parts = []
    for revision, count in world.replicas.items():
        mine = [w for w in world.workers if w.revision == revision]
        busy = sum(w.held > 0 for w in mine)
        parts.append(f"{revision} {count} asked, {sum(w.ready for w in mine)} ready, {busy} busy")
    return f"wanted {world.wanted}; " + "; ".join(parts)


def old_workers(count: int, busy: int) -> list[WorkerState]:
    return [WorkerState(f"r1-{n}", "r1", True, False, 2 if n <= busy else 0) for n in range(1, count + 1)]


def unready(name: str) -> WorkerState:
    return WorkerState(name, name.partition("-")[0], False, False, 0)


def stories() -> dict[str, tuple[Controllers, int, dict[int, str]]]:
    return {
        "idle_workers_are_replaced": (Controllers("r2", 4, {"r1": 4}, old_workers(4, 0), 4), 17, {}),
        "busy_workers_finish_first": (
            Controllers("r2", 3, {"r1": 3}, old_workers(3, 2), 3), 13, {5: "r1-1", 7: "r1-2"},
        ),
        "a_pool_at_zero_changes_at_once": (Controllers("r2", 0, {"r1": 0}), 3, {}),
        "a_third_revision_overtakes_the_second": (
            Controllers("r3", 2, {"r1": 2, "r2": 1}, [*old_workers(2, 1), unready("r2-3")], 3),
            12, {4: "r1-1"},
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(stories()))
def test_a_rollout_reads_as_recorded(name: str, request: pytest.FixtureRequest) -> None:
    world, looks, finishing = stories()[name]
    told = play(world, looks, finishing)
    recorded = STORIES / f"{name}.txt"
    if request.config.getoption("--update-golden", default=False):
        STORIES.mkdir(exist_ok=True)
        recorded.write_text(told)
    assert told == recorded.read_text()


@pytest.mark.parametrize("name", list(stories()))
def test_a_rollout_ends_with_the_new_revision_alone(name: str) -> None:
    world, looks, finishing = stories()[name]
    play(world, looks, finishing)
    assert world.replicas == {world.current: world.wanted}
    assert next_step(world.view()) == Step()
