"""The command line's words: inputs, files, labels, exit codes. No fleet runs here."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentfleet import running
from agentfleet.running import RunningFleet
from agentfleet_cli.main import app
from agentfleet_cli.submissions import read_lines
from agentfleet_cli.verbs import demo as demo_verb
from agentfleet_cli.verbs.submit import spelling_hint
from agentfleet_cli.views.words import dollars, duration, limit_amount, plain_dollars, shortened, stopwatch
from agentfleet_core.errors import InvalidRequest

NOWHERE = {"AGENTFLEET_URL": "http://127.0.0.1:1", "AGENTFLEET_API_KEY": "key", "AGENTFLEET_ADMIN_KEY": "key"}

TASK = "interactive.01kavqz8s3h6x2m4n7p9q1r5t8"


@pytest.fixture(autouse=True)
def no_fleet_runs_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # No cluster either: a developer's kubeconfig must not decide what these tests see.
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in NOWHERE:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["submit", "refund-request"], 5, "no fleet is running here; start one with `make dev`"),
        (["watch", "--once"], 5, "set AGENTFLEET_URL and AGENTFLEET_ADMIN_KEY"),
        (["pause", "fleet"], 5, "no fleet is running here"),
        (["get", "task/a.1"], 5, "set AGENTFLEET_URL and AGENTFLEET_API_KEY"),
        (["submit"], 2, "which TaskType"),
        (["submit", "a", "order"], 2, "'order' is not key=value"),
        (["submit", "a", "n:=x"], 2, "not JSON"),
        (["submit", "a", "k=v", "--input", "{}"], 2, "not both"),
        (["submit", "a", "--input", "[]"], 2, "must be a JSON object"),
        (["submit", "a", "--label", "x"], 2, "key=value"),
        (["submit", "a", "--file", "x.jsonl"], 2, "leave TYPE"),
        (["submit", "--file", "nowhere.jsonl"], 3, "cannot be read"),
        (["submit", "a", "--tenant", "acme"], 4, "running `agentfleet dev`"),
        (["get", "fleets"], 2, "there are tasks, pools, budgets, tiers and task/ID"),
        (["get", "pool/interactive"], 2, "agentfleet why pool/interactive"),
        (["get", "pools/interactive"], 2, "agentfleet why pool/interactive"),
        (["why", "interactive"], 2, "write pool/NAME or task/ID, such as pool/interactive"),
        (["get", TASK], 5, "no fleet is running here"),
        (["why", TASK], 5, "no fleet is running here"),
        (["dev", "-f", "nowhere", "--port", "0"], 3, "nowhere does not exist"),
        (["demo", "-f", "nowhere"], 3, "nowhere"),
        (["simulate-api", "--set", "colour=blue"], 2, "no knob is called colour"),
        (["simulate-api", "--set", "seconds"], 2, "write name=value"),
        (["simulate-api", "--scenario", "nowhere.yaml"], 3, "nowhere.yaml"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_change(arguments: list[str], code: int, words: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stdout == ""
    assert "Traceback" not in result.output


def test_a_fleet_out_of_reach_has_its_own_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    result = CliRunner().invoke(app, ["get", "pools"], env=NOWHERE)
    assert result.exit_code == 5
    assert result.stderr.count("\n") == 1


def test_every_command_has_json_output() -> None:
    for command in app.registered_commands:
        name = command.name or (command.callback.__name__ if command.callback else "")
        result = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
        assert result.exit_code == 0
        assert "--output" in result.stdout, name


def test_lines_of_a_file_become_requests() -> None:
    text = ['{"type": "a", "input": {"n": 1}, "tenant": "acme"}', "", '{"type": "b", "priority": 3}']
    first, second = read_lines(text)
    assert (first.number, first.tenant, first.request.input) == (1, "acme", {"n": 1})
    assert (second.number, second.tenant, second.request.priority) == (3, None, 3)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "holds no task"),
        (['{"type": "a"}', "{"], "line 2 is not JSON"),
        (["[]"], "line 1 is not an object with a type"),
        (['{"type": "a", "colour": 1}'], "line 1: a task has no colour; it has"),
    ],
)
def test_a_bad_line_is_named(lines: list[str], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read_lines(lines)


def test_a_running_fleet_is_found_until_it_has_gone(tmp_path: Path) -> None:
    assert running.running_fleet() is None
    fleet = RunningFleet("http://127.0.0.1:8080", "admin", {"globex": "g", "acme": "a"}, os.getpid())
    running.announce(fleet)
    assert running.running_fleet() == fleet
    assert fleet.default_key == "a"
    assert running.state_file().stat().st_mode & 0o077 == 0
    running.withdraw(os.getpid() + 1)
    assert running.running_fleet() == fleet
    running.withdraw(os.getpid())
    assert running.running_fleet() is None


def test_when_the_newer_of_two_fleets_ends_the_older_is_found_again() -> None:
    newer = RunningFleet("http://127.0.0.1:2", "admin", {}, os.getpid())
    older = replace(newer, url="http://127.0.0.1:1", pid=os.getppid())
    running.announce(older)
    running.announce(newer)
    assert running.running_fleet() == newer
    running.withdraw(newer.pid)
    assert running.running_fleet() == older
    running.withdraw(older.pid)
    assert running.running_fleet() is None
    assert list(running.state_file().parent.iterdir()) == []


def test_the_older_of_two_fleets_may_end_first() -> None:
    newer = RunningFleet("http://127.0.0.1:2", "admin", {}, os.getpid())
    running.announce(replace(newer, pid=os.getppid()))
    running.announce(newer)
    running.withdraw(os.getppid())
    assert running.running_fleet() == newer
    running.withdraw(newer.pid)
    assert running.running_fleet() is None


def test_a_file_whose_writer_has_gone_counts_for_nothing(tmp_path: Path) -> None:
    path = running.state_file()
    path.parent.mkdir(parents=True)
    gone = {"url": "http://127.0.0.1:1", "admin_key": "a", "tenant_keys": {}, "pid": 2**22 + 1}
    path.write_text(json.dumps(gone))
    assert running.running_fleet() is None
    path.write_text("{half a fil")
    assert running.running_fleet() is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (dollars(182_000_000), "$0.182"),
        (dollars(12_345_000_000), "$12.35"),
        (dollars(1_234_567_000_000_000), "$1,234,567"),
        (limit_amount({"period": "Day", "amount_nano_usd": 5_000_000_000}), "$5.00/day"),
        (limit_amount({"period": "Month", "amount_nano_usd": 120_000_000_000}), "$120.00/month"),
        (limit_amount({"period": "Total", "amount_nano_usd": 50_000_000}), "$0.05 in all"),
        (plain_dollars("0.050000000"), "$0.05"),
        (plain_dollars("120.000000000"), "$120"),
        (plain_dollars("9000000.5"), "$9,000,000.50"),
        (duration(0), "0.0s"),
        (duration(0.041), "41ms"),
        (duration(0.66), "0.7s"),
        (duration(119), "119s"),
        (duration(3_600), "60m"),
        (duration(80_000), "22h"),
        (duration(400_000), "5d"),
        (stopwatch(31), "00:31"),
        (stopwatch(3_723), "1:02:03"),
        (shortened("interactive", 5), "inte…"),
    ],
)
def test_the_same_thing_is_said_the_same_way(said: str, expected: str) -> None:
    assert said == expected


@pytest.mark.parametrize(
    ("terminal", "key", "answer", "used"),
    [
        (True, "real-key", "y", "real-key"),
        (True, "real-key", "", ""),
        (True, "real-key", "n", ""),
        (False, "real-key", "y", ""),
        (True, "", "y", ""),
    ],
)
def test_the_demo_spends_real_money_only_after_a_yes_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, key: str, answer: str, used: str
) -> None:
    asked: list[str] = []
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    monkeypatch.setattr(demo_verb, "is_terminal", lambda: terminal)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answer)
    assert demo_verb.real_key(demo_verb.EXAMPLE) == used
    assert asked == [] or "at most $1.03" in asked[0]
    assert bool(asked) == (terminal and bool(key))


@pytest.mark.parametrize(
    ("arguments", "code", "title", "words"),
    [
        (["get", "pools"], 5, "Unavailable", "no fleet is running here"),
        (["why", "interactive"], 2, "Invalid request", "write pool/NAME or task/ID"),
        (["submit", "a", "n:=x"], 2, "Invalid request", "not JSON"),
    ],
)
def test_with_json_output_an_error_is_json_too(
    arguments: list[str], code: int, title: str, words: str
) -> None:
    result = CliRunner().invoke(app, [*arguments, "--output", "json"])
    assert result.exit_code == code
    assert result.stdout == ""
    problem = json.loads(result.stderr)
    assert problem["title"] == title
    assert words in problem["detail"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["get", "pools", "--output", "yaml"], "yaml is no output: there are text and json"),
        (["submit", "a", "--mode", "foo"], "foo is no mode: there are defer and reject"),
        (["get", "tasks", "--state", "foo"], "foo is no state: there are queued, running,"),
    ],
)
def test_another_word_is_refused_with_those_that_exist(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.parametrize(
    ("field", "pairs", "hint"),
    [
        ("input.count", ["name=Ada", "count=3"], "write count:=3"),
        ("input.tags", ['tags=["a"]'], 'write tags:=["a"]'),
        ("input.count", ["count=three"], None),
        ("input.count", ['count="3"'], None),
        ("input.count", ["count:=3"], None),
        ("input", ["count=3"], None),
    ],
)
def test_a_number_written_as_text_is_told_how_to_be_one(
    field: str, pairs: list[str], hint: str | None
) -> None:
    assert spelling_hint(field, pairs) == hint


def test_a_misspelt_kind_is_one_error_and_what_refers_to_it_none(tmp_path: Path) -> None:
    manifest = tmp_path / "fleet.yaml"
    manifest.write_text(MISSPELT_KIND)
    result = CliRunner().invoke(app, ["validate", "-f", str(manifest)])
    assert result.exit_code == 1
    assert 'kind: "AgentPol" is no kind of agentfleet.dev; did you mean AgentPool?' in result.stdout
    assert "1 error in 1 file" in result.stdout


MISSPELT_KIND = """
apiVersion: agentfleet.dev/v1alpha1
kind: AgentPol
metadata: {name: default}
spec: {concurrency: 4}
---
apiVersion: agentfleet.dev/v1alpha1
kind: TaskType
metadata: {name: echo}
spec: {pool: default, tier: {default: fast}, handler: "shop.agents:echo"}
---
apiVersion: agentfleet.dev/v1alpha1
kind: ModelTier
metadata: {name: fast}
spec:
  rank: 1
  provider: {type: Anthropic, baseUrl: "http://gateway"}
  models:
    - name: claude-haiku-5-5
      prices:
        - effectiveFrom: "2026-01-01"
          bands: [{input: "1", output: "5", cacheRead: "0.1", cacheWrite5m: "1.25", cacheWrite1h: "2"}]
"""
