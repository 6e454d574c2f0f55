"""The simulator as a process: says where it listens, ends on a signal or with its parent."""

import json
import signal
import socket
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


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = [sys.executable, "-m", "agentfleet_cli", "simulate-api", "--port", str(port)]
        done = subprocess.run(run, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    cannot = f"127.0.0.1:{port} cannot be used (Address already in use); choose another --port"
    assert done.stderr == f"error: {cannot}\n"
    assert done.returncode == 3
