"""`validate` and the real API server give one verdict on manifests that nobody wrote on purpose."""

import pytest
from tests.manifests.mutants import mutants
from tests.servers.kube import KubeApiserver

from agentfleet_cli.manifests import RESOURCE
from agentfleet_core.api.structural import ProblemKind
from agentfleet_core.api.validation import manifest_problems

# Beside the schema's verdict the server reports what its rules and its scale subresource could not read.
ECHOES = ("<nil>", ".spec.replicas")


@pytest.mark.parametrize("seed", range(6))
def test_both_accept_or_both_refuse_at_the_same_fields(
    kube: KubeApiserver, namespace: str, seed: int
) -> None:
    verdicts = set()
    for what, manifest in mutants(seed, 60):
        url = f"/apis/agentfleet.dev/v1alpha1/namespaces/{namespace}/{manifest['kind'].lower()}s"
        answer = kube.http.post(url, json=manifest, params={"fieldValidation": "Strict", "dryRun": "All"})
        problems = manifest_problems(manifest)
        assert (answer.status_code == 201) is (problems == []), f"{what}: {answer.text[:500]} {problems}"
        if answer.status_code == 422:
            ours = {problem.field for problem in problems if problem.kind is not ProblemKind.UNKNOWN}
            theirs = {
                cause["field"]
                for cause in answer.json()["details"]["causes"]
                if cause["field"] not in ECHOES and "evaluating rule" not in cause["message"]
            }
            assert theirs <= ours, what
        if answer.status_code == 201:
            # What is stored can be read: the operator must never meet an object that its models refuse.
            RESOURCE.validate_python(answer.json())
        verdicts.add(answer.status_code)
    assert verdicts >= {201, 422}, "a run that only refuses, or only accepts, shows nothing"
