"""The bench's rivals follow their documents: what KEDA and an HPA do at their defaults, step by step."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from agentfleet_core.testing.simulated_fleet import SimulatedFleet, SimulatedTask

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """bench/ is run from the checkout's root and is no part of the distribution."""
    monkeypatch.syspath_prepend(str(ROOT))
    spec = importlib.util.spec_from_file_location("bench.planner", ROOT / "bench" / "planner.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench.planner", module)
    spec.loader.exec_module(module)
    return module


def replicas_over_time(bench: ModuleType, tasks: list[SimulatedTask], until: float) -> dict[float, int]:
    fleet, keda = SimulatedFleet(concurrency=4, start_seconds=6.0), bench.Keda(4)
    fleet.submit(tasks)
    changes = {0.0: 0}
    while fleet.now < until:
        fleet.advance(keda.next_decision())
        keda.decide(fleet)
        if fleet.replicas != list(changes.values())[-1]:
            changes[fleet.now] = fleet.replicas
    return changes


def test_keda_activates_at_its_poll_and_the_hpa_grows_by_four_or_double_each_sync(bench: ModuleType) -> None:
    flood = [SimulatedTask(1.0, 600.0)] * 400

    changes = replicas_over_time(bench, flood, until=61.0)

    assert changes == {0.0: 0, 5.0: 1, 15.0: 5, 30.0: 10, 45.0: 20, 60.0: 40}


def test_the_hpa_holds_its_highest_number_for_five_minutes(bench: ModuleType) -> None:
    burst = [SimulatedTask(1.0, 20.0)] * 20

    changes = replicas_over_time(bench, burst, until=500.0)
    fallen = next(at for at, replicas in changes.items() if at > 15.0 and replicas < 5)

    assert changes[15.0] == 5
    assert fallen >= 300.0


def test_times_are_read_as_numbers_or_dates_with_any_fraction(bench: ModuleType, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:15:46.6805900,5000,50\n2023-11-16T18:15:48.1805900,0,0\n"
    )
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("3.5,5000,50\n5.0,0,0\n")

    for path in (trace, numbers):
        first, second = bench.read_trace(path)
        assert (first.at_seconds, first.service_seconds) == (0.0, pytest.approx(2.6))
        assert (second.at_seconds, second.service_seconds) == (pytest.approx(1.5), pytest.approx(0.6))


def test_the_promise_is_never_below_the_share_it_stands_for(bench: ModuleType) -> None:
    assert [bench.promise_of(share) for share in (0.99019, 0.95, 0.2, 1.0)] == [99.1, 95.0, 50.0, 99.99]
