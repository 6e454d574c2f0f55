"""An operator that cannot begin says in one sentence what to change."""

import os
import subprocess
import sys
from pathlib import Path


def test_without_a_cluster_the_operator_says_so_in_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "nowhere")}
    environment.pop("KUBERNETES_SERVICE_HOST", None)
    ended = subprocess.run(
        [sys.executable, "-m", "agentfleet_operator"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "there is no cluster to work with" in ended.stderr
    assert "set KUBECONFIG" in ended.stderr
    assert "Traceback" not in ended.stderr
