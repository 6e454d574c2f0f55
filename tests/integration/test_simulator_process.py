"""The simulator as a process: says where it listens, ends on a signal or with its parent."""

import json
import signal
import subprocess
import sys
import urllib.request

import pytest


@pytest.mark.parametrize("end", ["signal", "parent"])
def test_it_says_where_it_listens_and_ends(end: str) -> None:
    command = [sys.executable, "-m", "agentfleet_cli.simulator", "--port", "0", "--until-stdin-ends"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
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
