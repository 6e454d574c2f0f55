"""From nothing to a first result, with a user's own image and tool."""

import json
import os
import sys
import time
from pathlib import Path

import pytest
import yaml
from tests.e2e.cluster import AGENTFLEET, ROOT, TAG, kubectl, run, until
from tests.e2e.installation import Installation, api_key_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_install_apply_submit_and_a_users_own_image_answers_with_its_own_tool(
    images: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    began = time.monotonic()
    with Installation() as fleet:
        fleet.simulate()
        fleet.secret("anthropic", "any")
        fleet.secret("me-key", api_key_of("me"))
        manifests = list(yaml.safe_load_all((ROOT / "examples" / "hello" / "fleet.yaml").read_text()))
        for one in manifests:
            if one["kind"] == "AgentPool":
                one["spec"]["worker"] = {"image": f"hello-worker:{TAG}"}
            if one["kind"] == "ModelTier":
                one["spec"]["provider"]["baseUrl"] = "http://simulator"
        fleet.apply(*manifests)
        with fleet.client("me") as client:
            name = 'sim:{"turns": [{"tool": "weather", "input": {"city": "Bonn"}}, {"text": "Hello."}]}'
            task = client.submit("hello", {"name": name, "city": "Bonn"})
            result = task.result(timeout=60)
        with capsys.disabled():
            said = f"from helm install to the first result: {time.monotonic() - began:.1f} s"
            sys.stdout.writelines([said, "\n"])
        assert [step.kind for step in result.steps] == ["llm", "tool", "llm"]
        # No worker holds a token for the API server, and no secret is in its environment.
        [pod] = fleet.objects("pods", "-l", "agentfleet.dev/pool=default")
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert "valueFrom" not in str(
            [one for one in pod["spec"]["containers"][0]["env"] if "KEY" in one["name"]]
        )
        assert "redis://" not in str(pod["spec"])
        # The command line finds the fleet by the kubeconfig, with nothing else set.
        place = {"KUBECONFIG": str(_kubeconfig(tmp_path, fleet.namespace)), "XDG_STATE_HOME": str(tmp_path)}
        said = run([AGENTFLEET, "get", f"task/{task.id}", "--output", "json"], env=os.environ | place)
        assert json.loads(said)["state"] == "succeeded"
        why = run([AGENTFLEET, "why", "pool/default", "--output", "json"], env=os.environ | place)
        assert "default" in why
        until("the pool is at zero again", lambda: not fleet.workers("default", ready=False), seconds=90)


def _kubeconfig(folder: Path, namespace: str) -> Path:
    """The same cluster, with the fleet's namespace as the current one."""
    file = folder / "kubeconfig"
    file.write_text(kubectl("config", "view", "--raw", "--flatten"))
    kubectl("--kubeconfig", str(file), "config", "set-context", "--current", f"--namespace={namespace}")
    return file
