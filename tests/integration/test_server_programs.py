"""The Kubernetes programs are found where they are, or built once, and a failure says what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.servers import build
from tests.servers.kube import ROOT

FAKE_GO = """#!/bin/sh
if [ "$1" = env ]; then echo go1.25.1; exit; fi
echo built >> "$BUILDS"
while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
[ -z "$FAILS" ] || { echo "no network"; exit 1; }
echo program > "$out"
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and a Go that builds at once; its log of builds."""
    tools = tmp_path / "bin"
    tools.mkdir()
    go = tools / "go"
    go.write_text(FAKE_GO)
    go.chmod(0o755)
    builds = tmp_path / "builds"
    builds.touch()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("BUILDS", str(builds))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return builds


def test_programs_that_are_there_already_are_taken(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "etcd").touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    found = build.programs("etcd", "kube-apiserver")
    assert found["etcd"] == assets / "etcd"
    assert found["kube-apiserver"].name == f"kube-apiserver-{build.version(build.PROGRAMS['kube-apiserver'])}"
    assert machine.read_text() == "built\n"


def test_processes_that_need_the_same_program_build_it_once(machine: Path) -> None:
    command = [sys.executable, "-m", "tests.servers.build", "etcd", "kubectl"]
    both = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=60)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert machine.read_text() == "built\nbuilt\n"
    assert all("servers: etcd: " in text for text in said)


def test_a_build_that_fails_leaves_nothing_and_says_the_way_around_it(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "1")
    with pytest.raises(build.CannotBuildError, match=r"with KUBEBUILDER_ASSETS set(.|\n)*no network"):
        build.programs("etcd")
    assert [file.name for file in (build.cache_home() / "servers").iterdir()] == ["build.lock"]


@pytest.mark.parametrize("program", build.PROGRAMS.values(), ids=lambda program: program.name)
def test_each_program_has_a_pinned_version(program: build.Program) -> None:
    assert build.version(program).startswith("v")
