"""The simulator as a process: says where it listens, ends on a signal or with its parent."""

import json
import signal
import subprocess
import sys
import urllib.request

import pytest

ALONE = ("agentfleet_cli.simulator", "--port", "0", "--until-stdin-ends")
AS_A_COMMAND = ("agentfleet_cli", "simulate-api", "--port", "0", "--set", "jitter=0", "--output", "json")


@pytest.mark.parametrize(("command", "end"), [(ALONE, "signal"), (ALONE, "parent"), (AS_A_COMMAND, "signal")])
def test_it_says_where_it_listens_and_ends(command: tuple[str, ...], end: str) -> None:
    run = [sys.executable, "-m", *command]
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with urllib.request.urlopen(f"{ready['url']}/healthz") as response:
            assert response.status == 200
        if end == "signal":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        assert process.wait(10) == 0
