"""Lints the chart: `helm lint --strict`, then kube-score over what it renders, and kube-linter if on PATH.

`python -m tools.lint_chart charts/agentfleet KUBE_VERSION`. An exception stands as an annotation on
the object it concerns, with its reason beside it; kube-score alone has none for CPU limits.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.servers.build import CannotBuildError, programs, say

SCOPES = ("Namespace", "Cluster")
NO_CPU_LIMIT = "--ignore-container-cpu-limit"
"""At a CPU limit, the renewal of a lease comes late; a request already guarantees each its share."""


def found(name: str) -> str:
    return shutil.which(name) or str(programs(name)[name])


def passes(*command: str) -> bool:
    """Whether it does; what it says is shown when it does not."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(f"{command[0]}:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def main(chart: Path, kube_version: str) -> bool:
    """Whether the chart is clean."""
    helm, kube_score, kube_linter = found("helm"), found("kube-score"), shutil.which("kube-linter")
    clean = [passes(helm, "lint", "--strict", str(chart))]
    with tempfile.TemporaryDirectory() as folder:
        for scope in SCOPES:
            manifests = Path(folder) / f"{scope}.yaml"
            command = [helm, "template", "af", str(chart), "--namespace=fleet", f"--set=scope={scope}"]
            command.append(f"--kube-version={kube_version}")
            manifests.write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            version = f"--kubernetes-version=v{kube_version.rpartition('.')[0]}"
            strict = (version, NO_CPU_LIMIT, "--exit-one-on-warning", "--output-format=ci")
            clean.append(passes(kube_score, "score", *strict, str(manifests)))
            if kube_linter:
                clean.append(passes(kube_linter, "lint", str(manifests)))
    if not kube_linter:
        say("kube-linter is not on PATH and was left out")
    return all(clean)


if __name__ == "__main__":
    try:
        sys.exit(not main(Path(sys.argv[1]), sys.argv[2]))
    except CannotBuildError as error:
        sys.exit(str(error))
