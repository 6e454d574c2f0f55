"""`make demo`, as somebody without a terminal runs it, and as somebody who stops it half way."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.xdist_group("local")

AGENTFLEET = (sys.executable, "-m", "agentfleet_cli")
LIMIT_SECONDS = 120


def environment(home: Path) -> dict[str, str]:
    found = os.environ | {"XDG_STATE_HOME": str(home), "TERM": "xterm"}
    for name in ("ANTHROPIC_API_KEY", "AGENTFLEET_URL", "AGENTFLEET_API_KEY", "COLUMNS", "LINES"):
        found.pop(name, None)
    return found


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_SECONDS + 30)
def test_without_a_terminal_it_tells_the_story_in_plain_lines(tmp_path: Path) -> None:
    done = subprocess.run(
        [*AGENTFLEET, "demo"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = done.stdout
    assert "\x1b" not in told
    assert "interactive 0 → 1" in told
    assert re.search(r"interactive \d → 0", told), "back to zero"
    assert "globex is Exhausted" in told
    assert re.search(r"48 tasks in \d+s: \d+ succeeded", told)
    assert "not waited for" not in told
    assert "failed" not in told
    assert "dead" not in told
    [total] = re.findall(r"^all +\$([0-9.]+)$", told, re.MULTILINE)
    [bill] = re.findall(r"own bill: \$([0-9.]+)$", told, re.MULTILINE)
    assert float(bill) <= float(total)
    assert "agentfleet submit" in told
    assert "helm install af charts/agentfleet" in told
    assert [line for line in told.splitlines() if len(line) > 80] == []


def test_ctrl_c_in_a_terminal_leaves_it_as_it_was(tmp_path: Path) -> None:
    terminal, child_side = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    before = termios.tcgetattr(child_side)
    # As under make: a parent in the same process group, which Ctrl-C must not reach.
    process = subprocess.Popen(
        ["sh", "-c", '"$@"; echo "code $?"', "sh", *AGENTFLEET, "demo"],
        env=environment(tmp_path),
        stdin=child_side,
        stdout=child_side,
        stderr=child_side,
        start_new_session=True,
        preexec_fn=lambda: _own_terminal(child_side),
    )
    try:
        seen = _read(terminal, until=b"tasks to end|requests are in")
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
        commands = {one: _command(one) for one in family}
        os.write(terminal, b"\x03")
        seen += _read(terminal, until=rb"code \d+")
        assert b"nothing is left running" in seen
        assert b"code 0" in seen
        assert process.wait(20) == 0
        _, alive = psutil.wait_procs(family, timeout=5)
        assert [f"{one}: {commands[one]}" for one in alive] == []
        assert termios.tcgetattr(child_side) == before
        assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l"), "the cursor is shown again"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(terminal)
        os.close(child_side)


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return "gone already"


def _own_terminal(fd: int) -> None:
    import fcntl

    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


def _read(terminal: int, *, until: bytes) -> bytes:
    """What the terminal shows until a pattern does, at most a minute."""
    seen = b""
    end = time.monotonic() + 60
    while not re.search(until, seen):
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        assert ready, seen[-2_000:].decode(errors="replace")
        seen += os.read(terminal, 65_536)
    return seen
