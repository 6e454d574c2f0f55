"""A whole fleet on this machine, as a user has it: `dev` up, tasks through it, Ctrl-C, nothing left."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from agentfleet import Client
from agentfleet_cli.main import app

pytestmark = pytest.mark.xdist_group("local")

EXAMPLES = Path(__file__).parents[2] / "examples"
EXTRA_TYPE = """
apiVersion: agentfleet.dev/v1alpha1
kind: TaskType
metadata: {name: shout}
spec:
  pool: interactive
  tier: {default: fast}
  handler: shop.loud:shout
"""
EXTRA_CODE = """
async def shout(ctx, text: str) -> dict:
    return {"loud": text.upper()}
"""


class Dev:
    """A running `agentfleet dev` on a copy of the example, and the commands of a second terminal."""

    def __init__(self, home: Path, *more: str, example: str = "support") -> None:
        self.folder = home / example
        shutil.copytree(EXAMPLES / example, self.folder, dirs_exist_ok=True)
        state = {"XDG_STATE_HOME": str(home / "state"), "COLUMNS": "80"}
        unset = ("AGENTFLEET_URL", "AGENTFLEET_API_KEY", "AGENTFLEET_ADMIN_KEY", "ANTHROPIC_API_KEY")
        self.environment: dict[str, str | None] = {**state, **dict.fromkeys(unset)}
        clean = {name: value for name, value in os.environ.items() if name not in unset} | state
        clean["AGENTFLEET_LEASE_SECONDS"] = "2"
        options = ("-f", str(self.folder), "--port", "0", "--sim-speed", "20", "-o", "json", *more)
        command = [sys.executable, "-m", "agentfleet_cli", "dev", *options]
        self.process = subprocess.Popen(command, env=clean, stdout=subprocess.PIPE, text=True)
        self.ready = self.event()

    def event(self) -> dict[str, Any]:
        """The next line that it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.stdout.close()
            pytest.fail(f"dev ended with code {self.process.wait(10)}")
        found: dict[str, Any] = json.loads(line)
        return found

    def run(self, *arguments: str, code: int = 0) -> str:
        """Standard output of a command, or its standard error where it must fail."""
        done = CliRunner().invoke(app, arguments, env=self.environment)
        assert done.exit_code == code, done.output
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--output", "json"))

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        server = next(each for each in self.family() if "agentfleet_worker.forkserver" in each.cmdline())
        return server.children()

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    running = Dev(tmp_path_factory.mktemp("dev"))
    yield running
    if running.process.poll() is None:
        assert running.end(signal.SIGTERM) == 0


def test_an_agent_with_a_tool_answers(dev: Dev) -> None:
    submit = ("submit", "refund-request", "order=A-1001", "message=It arrived cracked.", "--wait")
    result = dev.json(*submit)
    assert result["state"] == "succeeded"
    assert "A-1001" in json.dumps(result["output"])
    assert [step["kind"] for step in result["steps"]] == ["llm", "tool", "llm"]
    assert result["cost_nano_usd"] > 0
    assert "refund" in dev.run(*submit)


@pytest.mark.parametrize(
    ("command", "inside"),
    [
        (("delivery-complaint", "order=A-1003", "message=Where is it?"), "in transit"),
        (("return-parcel", "order=A-1002", "reason=too big"), "booking"),
        (("sort-ticket", "ticket=My parcel is late."), "delivery"),
        (("complaint-report", "week=46", "complaints=Broken glasses."), "Summary"),
    ],
)
def test_every_kind_of_task_type_works(dev: Dev, command: tuple[str, ...], inside: str) -> None:
    result = dev.json("submit", *command, "--wait")
    assert result["state"] == "succeeded", result["error"]
    assert inside in json.dumps(result["output"])


def test_a_file_of_tasks_is_submitted_and_awaited(dev: Dev, tmp_path: Path) -> None:
    lines = [
        {"type": "product-question", "input": {"question": f"Question {n}?"}, "tenant": "acme"}
        for n in range(5)
    ]
    lines.append({"type": "no-such-type", "input": {}})
    path = tmp_path / "tasks.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    assert "line 6: " in dev.run("submit", "--file", str(path), "--wait", code=3)
    path.write_text("\n".join(map(json.dumps, lines[:-1])))
    assert "5 accepted, 5 succeeded" in dev.run("submit", "--file", str(path), "--wait")


def test_what_runs_can_be_looked_at(dev: Dev) -> None:
    task = dev.json("submit", "product-question", "question=Is it blue?")
    assert f"task      {task['id']}" in dev.run("get", f"task/{task['id']}")
    assert task["id"] in dev.run("get", "tasks", "--type", "product-question")
    assert "interactive" in dev.run("get", "pools")
    assert "$0.03/day" in dev.run("get", "budgets")
    assert "claude-haiku-5-5" in dev.run("get", "tiers")
    assert "interactive wants" in dev.run("why", "pool/interactive")
    assert "fast" in dev.run("why", f"task/{task['id']}")
    for target, fields in (("pool/interactive", "notes"), (f"task/{task['id']}", "facts")):
        explained = json.loads(dev.run("why", target, "--output", "json"))
        assert explained[fields]
        assert "text" not in explained, "what is wrapped for people is no field for programs"
    screen = dev.run("watch", "--once").splitlines()
    assert screen[0].startswith("agentfleet · local fleet · simulated provider")
    assert max(map(len, screen)) <= 80


def test_a_tenant_sees_its_own_tasks_alone(dev: Dev) -> None:
    mine = dev.json("submit", "product-question", "question=Mine?", "--tenant", "globex")
    assert mine["tenant"] == "globex"
    assert "does not exist" in dev.run("get", f"task/{mine['id']}", "--tenant", "acme", code=3)
    assert "there are acme, globex" in dev.run("get", "tasks", "--tenant", "initech", code=3)


def test_a_pause_holds_tasks_and_resume_lets_them_go(dev: Dev) -> None:
    assert "did you mean acme?" in dev.run("pause", "tenant/acmee", code=3)
    assert dev.run("resume", "tenant/acme") == "tenant/acme was not paused by hand\n"
    assert dev.run("pause", "tenant/acme").startswith("tenant/acme is paused: no new paid call starts")
    assert dev.json("pause", "tenant/acme")["changed"] is False
    task = dev.json("submit", "product-question", "question=Paused?")
    assert "PAUSED by hand: tenant/acme" in dev.run("watch", "--once")
    assert dev.json("get", f"task/{task['id']}")["state"] == "queued"
    dev.run("pause", "tenant/globex")
    other = dev.json("submit", "product-question", "question=Paused?", "--tenant", "globex")
    assert dev.json("cancel", f"task/{other['id']}")["tenant"] == "globex"
    assert dev.run("cancel", task["id"]) == f"task/{task['id']} is cancelled\n"
    dev.run("resume", "tenant/globex")
    assert dev.run("resume", "tenant/acme") == "tenant/acme is resumed\n"
    assert dev.json("submit", "product-question", "question=On?", "--wait")["state"] == "succeeded"


@pytest.fixture(scope="module")
def shouting(dev: Dev) -> Dev:
    """With a type and code that came while it runs, after a mistake that was named."""
    (dev.folder / "shop" / "loud.py").write_text(EXTRA_CODE)
    assert dev.event()["text"] == "code changed: shop/loud.py; workers start anew"
    (dev.folder / "extra.yaml").write_text(EXTRA_TYPE.replace("default: fast", "default: fats"))
    refused = dev.event()["text"]
    assert "extra.yaml" in refused
    assert "fats" in refused
    (dev.folder / "extra.yaml").write_text(EXTRA_TYPE)
    assert "manifests changed" in dev.event()["text"]
    return dev


def test_changed_manifests_are_followed(shouting: Dev) -> None:
    assert shouting.json("submit", "shout", "text=hello", "--wait")["output"] == {"loud": "HELLO"}


def test_mended_code_is_used_by_the_next_task(shouting: Dev) -> None:
    old = shouting.workers()
    (shouting.folder / "shop" / "loud.py").write_text(EXTRA_CODE.replace("upper()", "upper() + '!'"))
    assert shouting.event()["text"] == "code changed: shop/loud.py; workers start anew"
    _, draining = psutil.wait_procs(old, timeout=30)
    assert draining == []
    result = shouting.json("submit", "shout", "text=hello", "--wait")
    assert result["output"] == {"loud": "HELLO!"}


def test_a_name_that_is_broken_while_it_runs_is_told(shouting: Dev) -> None:
    (shouting.folder / "extra.yaml").write_text(EXTRA_TYPE.replace("loud:shout", "loud:shut"))
    assert "manifests changed" in shouting.event()["text"]
    assert shouting.event()["text"] == "code is missing: shop.loud:shut: module shop.loud has no shut"
    (shouting.folder / "extra.yaml").write_text(EXTRA_TYPE)
    assert "manifests changed" in shouting.event()["text"]


def test_a_killed_workers_task_goes_on_in_another(dev: Dev) -> None:
    task = dev.json("submit", "product-question", 'question=sim:{"text": "At last.", "seconds": 40}')
    while dev.json("get", f"task/{task['id']}")["state"] != "running":
        pass
    for worker in dev.workers():
        worker.kill()
    assert "ended with code -9; another starts" in dev.event()["text"]
    with Client(dev.ready["url"], running_keys(dev)["acme"]) as client:
        result = client.result(task["id"], timeout=60)
        assert result.output == {"text": "At last."}
        assert client.get(task["id"]).attempt == 2


def test_ctrl_c_leaves_nothing_behind(dev: Dev) -> None:
    family = dev.family()
    assert family
    assert dev.end(signal.SIGINT) == 0
    _, alive = psutil.wait_procs(family, timeout=0)
    assert alive == []
    assert not Path(dev.ready["context_file"]).exists()
    assert not Path(dev.ready["logs"]).exists()


def test_even_killed_it_leaves_no_process_behind(tmp_path: Path) -> None:
    dev = Dev(tmp_path)
    dev.run("submit", "product-question", "question=Is it blue?", "--wait")
    family = dev.family()
    assert dev.end(signal.SIGKILL) == -signal.SIGKILL
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


def test_with_a_data_folder_tasks_keys_and_spend_outlive_it(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    first = Dev(tmp_path, *data)
    done = first.json("submit", "product-question", "question=Is it blue?", "--wait")
    keys = running_keys(first)
    beside = ("dev", "-f", str(first.folder), "--port", "0", *data)
    assert "another fleet runs on" in first.run(*beside, code=3)
    assert first.end(signal.SIGTERM) == 0
    second = Dev(tmp_path, *data)
    assert second.json("get", f"task/{done['id']}")["result"]["output"] == done["output"]
    assert running_keys(second) == keys
    acme = second.json("get", "budgets")[0]
    assert acme["limits"][0]["spent_nano_usd"] == done["cost_nano_usd"]
    assert second.end(signal.SIGHUP) == 0


def running_keys(dev: Dev) -> Any:
    return json.loads(Path(dev.ready["context_file"]).read_text())["tenant_keys"]


def test_the_smallest_fleet_says_hello(tmp_path: Path) -> None:
    dev = Dev(tmp_path, example="hello")
    result = dev.json("submit", "hello", "name=Ada", "city=Oslo", "--wait")
    assert result["state"] == "succeeded"
    assert [step["name"] for step in result["steps"] if step["kind"] == "tool"] == ["weather"]
    assert result["output"] == {"text": "Hello Ada! It is sunny in Oslo."}
    assert dev.end(signal.SIGINT) == 0
