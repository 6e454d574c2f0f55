"""From nothing to a first result, with a user's own image and tool."""

import time
from collections.abc import Callable

import pytest
import yaml
from tests.e2e.cluster import ROOT, TAG, until
from tests.e2e.installation import Installation, api_key_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_install_apply_submit_and_a_users_own_image_answers_with_its_own_tool(
    images: None, record_property: Callable[[str, object], None]
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
            result = client.submit("hello", {"name": name, "city": "Bonn"}).result(timeout=60)
        record_property("install_to_result_seconds", round(time.monotonic() - began, 1))
        assert [step.kind for step in result.steps] == ["llm", "tool", "llm"]
        # No worker holds a token for the API server, and no secret is in its environment.
        [pod] = fleet.objects("pods", "-l", "agentfleet.dev/pool=default")
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert "valueFrom" not in str(
            [one for one in pod["spec"]["containers"][0]["env"] if "KEY" in one["name"]]
        )
        assert "redis://" not in str(pod["spec"])
        until("the pool is at zero again", lambda: not fleet.workers("default", ready=False), seconds=90)
