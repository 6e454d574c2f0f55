"""The cluster that KUBECONFIG names, as the stories use it: kubectl, helm, and images by one hook.

Nothing here knows what kind of cluster it is: pods, Services and NetworkPolicies are all it asks for.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

ROOT = Path(__file__).resolve().parents[2]
TAG = "e2e"
AGENTFLEET = str(Path(sys.executable).with_name("agentfleet"))
T = TypeVar("T")


class CommandFailed(AssertionError):
    """What a command said when it failed."""


def run(
    command: Sequence[str],
    *,
    given: str | None = None,
    seconds: float = 120,
    env: Mapping[str, str] | None = None,
) -> str:
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=seconds, check=False, env=env
    )
    if done.returncode:
        raise CommandFailed(f"{shlex.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def kubectl(*arguments: str, given: str | None = None, seconds: float = 120) -> str:
    return run(["kubectl", *arguments], given=given, seconds=seconds)


def apply(*manifests: dict[str, Any], namespace: str | None = None) -> None:
    place = ["-n", namespace] if namespace else []
    kubectl(*place, "apply", "-f", "-", given=yaml.safe_dump_all(manifests))


def objects(*arguments: str) -> list[dict[str, Any]]:
    found = json.loads(kubectl("get", *arguments, "-o", "json"))
    items: list[dict[str, Any]] = found.get("items", [found])
    return items


def until(what: str, look: Callable[[], T | None], *, seconds: float = 60) -> T:
    """The first true thing that `look` returns. There is no event to wait for across so many parts."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen: {found!r}")
        time.sleep(0.5)


def helm(*arguments: str, seconds: float = 180) -> str:
    return run(["helm", *arguments], seconds=seconds)


class Images:
    """Builds each image once and brings it to the cluster.

    IMAGE_LOAD is a command that does both, called as `… -t NAME:TAG [--target T] [--build-arg K=V] DIR`.
    Without it, docker or podman builds; kind or minikube loads, by the current context's name.
    """

    def build(
        self, name: str, folder: Path, *, target: str = "", build_args: Mapping[str, str] | None = None
    ) -> str:
        image = f"{name}:{TAG}"
        options = ["-t", image, *(["--target", target] if target else [])]
        for key, value in (build_args or {}).items():
            options += ["--build-arg", f"{key}={value}"]
        hook = os.environ.get("IMAGE_LOAD")
        if hook:
            run([*shlex.split(hook), *options, str(folder)], seconds=900)
            return image
        engine = next((one for one in ("docker", "podman") if shutil.which(one)), "docker")
        run([engine, "build", *options, str(folder)], seconds=900)
        context = kubectl("config", "current-context").strip()
        if context.startswith("kind-"):
            run(["kind", "load", "docker-image", image, "--name", context.removeprefix("kind-")])
        elif context == "minikube":
            run(["minikube", "image", "load", image])
        else:
            raise AssertionError("set IMAGE_LOAD to a command that builds and loads an image")
        return image


@contextmanager
def source_tree() -> Iterator[Path]:
    """What git tracks, so that no cache or scratch file gets into an image."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True)
        for name in archive.stdout.decode().split("\0"):
            source = ROOT / name
            if name and source.is_file():
                place = Path(folder) / name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, place)
        yield Path(folder)
