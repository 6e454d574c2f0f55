"""A change of the user's own code is seen, and what is installed beside it is not looked at."""

import asyncio
from pathlib import Path

import pytest

from agentfleet_cli.local import code_watch
from agentfleet_cli.local.code_watch import code_stamps, watch_code


def test_the_users_own_python_files_are_looked_at(tmp_path: Path) -> None:
    for name in (
        "fleet.yaml",
        "hello/tools.py",
        "hello/deep/more.py",
        "hello/__pycache__/tools.py",
        ".git/hook.py",
        "venv/pyvenv.cfg",
        "venv/lib/other.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert {str(path.relative_to(tmp_path)) for path in code_stamps(tmp_path)} == {
        "hello/tools.py",
        "hello/deep/more.py",
    }


async def test_each_change_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_watch, "LOOK_SECONDS", 0.0)
    tools, told = tmp_path / "tools.py", asyncio.Queue[Path]()
    tools.write_text("old = 1")
    started = asyncio.Event()

    def stamps(folder: Path) -> code_watch.Stamps:
        found = code_stamps(folder)
        loop.call_soon_threadsafe(started.set)
        return found

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(code_watch, "code_stamps", stamps)
    watching = asyncio.create_task(watch_code(tmp_path, told.put))
    async with asyncio.timeout(10):
        await started.wait()
        mended = tmp_path / "mended.tmp"
        mended.write_text("mended = 22")
        mended.replace(tools)
        assert await told.get() == Path("tools.py")
        (tmp_path / "more.py").touch()
        assert await told.get() == Path("more.py")
        tools.unlink()
        assert await told.get() == Path("tools.py")
    assert told.empty()
    watching.cancel()
