"""Each bad manifest is refused by the real API server or by a condition, and `validate` says the same."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.manifests.table import BAD, GONE, GOOD, Bad, Manifest, Refusal, changed, good
from tests.servers.kube import ROOT, KubeApiserver

from agentfleet_cli.manifests import RESOURCE, FileProblem, load_manifests
from agentfleet_core.fleet.compile import compile_fleet
from agentfleet_core.settings import FleetId

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
STRICT = {"fieldValidation": "Strict"}
SECRETS = {"anthropic": {"api-key": b"sk"}, "globex-key": {"api-key": b"globex"}}
SERVER = [case for case in BAD if case.by is not Refusal.CONDITION]
CONDITIONS = [case for case in BAD if case.by is Refusal.CONDITION]


def url(namespace: str, manifest: Mapping[str, Any], name: str = "") -> str:
    plural = f"{manifest['kind'].lower()}s"
    return f"/apis/{manifest['apiVersion']}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def bad_manifest(case: Bad) -> Manifest:
    return changed(good(case.kind), {**case.before, **case.changes})


def sent(kube: KubeApiserver, namespace: str, case: Bad) -> httpx.Response:
    """As a creation that would not stay, or as an update of what stands."""
    manifest = bad_manifest(case)
    if not case.updates:
        return kube.http.post(url(namespace, manifest), json=manifest, params=STRICT | {"dryRun": "All"})
    standing = changed(good(case.kind), case.before)
    created = kube.http.post(url(namespace, standing), json=standing, params=STRICT)
    created.raise_for_status()
    return kube.http.patch(
        url(namespace, manifest, manifest["metadata"]["name"]),
        json=manifest,
        params=STRICT,
        headers={"Content-Type": "application/merge-patch+json"},
    )


def validated(tmp_path: Path, case: Bad) -> list[FileProblem]:
    """The bad one in a file beside the good ones; an update beside what stands."""
    manifest = bad_manifest(case)
    around = [good(kind) for kind in GOOD if kind != case.kind or manifest["metadata"]["name"] != _name(kind)]
    fleet, applied = tmp_path / "fleet", tmp_path / "applied"
    fleet.mkdir()
    applied.mkdir()
    (fleet / "a.yaml").write_text(yaml.safe_dump_all(around))
    (fleet / "bad.yaml").write_text(yaml.safe_dump(manifest, allow_unicode=True))
    (applied / "a.yaml").write_text(yaml.safe_dump(changed(good(case.kind), case.before)))
    beside = load_manifests([applied], NOW) if case.updates else None
    return [
        one for one in load_manifests([fleet], NOW, beside=beside).problems if one.file.name == "bad.yaml"
    ]


def _name(kind: str) -> str:
    return str(GOOD[kind]["metadata"]["name"])


def ids(case: Bad) -> str:
    return f"{case.kind}: {case.what}".replace(" ", "-")


def test_there_are_enough_of_them_and_each_is_another() -> None:
    assert len(BAD) >= 40
    assert len(SERVER) >= 30
    assert len({ids(case) for case in BAD}) == len(BAD)


@pytest.mark.parametrize("case", SERVER, ids=ids)
def test_the_api_server_refuses_it_at_the_field(kube: KubeApiserver, namespace: str, case: Bad) -> None:
    answer = sent(kube, namespace, case)
    assert answer.status_code in {400, 404, 422}, answer.text
    if case.by is Refusal.UNSERVED:
        assert answer.status_code == 404
        return
    status = answer.json()
    if case.by is Refusal.UNKNOWN:
        assert f'unknown field "{case.field}"' in status["message"]
        return
    causes = {cause["field"]: cause["message"] for cause in status["details"]["causes"]}
    causes.pop("<nil>", None)
    assert [*causes] == [case.field], causes
    if case.by is Refusal.RULE:
        assert causes[case.field].endswith(f": {case.says}")


@pytest.mark.parametrize("case", CONDITIONS, ids=ids)
def test_the_api_server_takes_it_and_a_condition_names_the_field(
    kube: KubeApiserver, namespace: str, case: Bad
) -> None:
    answer = sent(kube, namespace, case)
    assert answer.status_code == 201, answer.text
    stored = answer.json()
    others = [good(kind) for kind in GOOD if (kind, _name(kind)) != (case.kind, stored["metadata"]["name"])]
    resources = [RESOURCE.validate_python(one) for one in [*others, stored]]
    verdicts = compile_fleet(FleetId("test", namespace), resources, SECRETS, NOW).conditions
    (verdict,) = [one for one in verdicts if (one.kind, one.name) == (case.kind, stored["metadata"]["name"])]
    assert not verdict.accepted
    assert case.field in verdict.message
    assert case.says in verdict.message


@pytest.mark.parametrize("case", BAD, ids=ids)
def test_validate_tells_it_with_field_and_line_before_it_is_sent(tmp_path: Path, case: Bad) -> None:
    (problem,) = validated(tmp_path, case)
    assert problem.field == case.field
    if case.by is Refusal.RULE:
        assert problem.message == case.says
    else:
        assert case.says in problem.message
    lines = problem.file.read_text().splitlines()
    assert _shown(problem, case, lines[problem.line - 1])


def _shown(problem: FileProblem, case: Bad, line: str) -> bool:
    """The line is that of the field, or of what is around it when the field is not there."""
    last = problem.field.rpartition(".")[2].partition("[")[0]
    absent = any(value is GONE for value in case.changes.values()) or last == "backoffSeconds"
    return absent or f"{last}:" in line or line.lstrip().startswith("- ") or "[" in problem.field


@pytest.mark.parametrize("kind", GOOD)
def test_good_manifests_are_accepted_by_both(kube: KubeApiserver, namespace: str, kind: str) -> None:
    answer = kube.http.post(url(namespace, GOOD[kind]), json=GOOD[kind], params=STRICT)
    assert answer.status_code == 201, answer.text


def test_every_example_is_accepted_by_both(kube: KubeApiserver, namespace: str) -> None:
    folders = sorted({file.parent for file in (ROOT / "examples").rglob("*.yaml") if _has_kinds(file)})
    assert folders
    for folder in folders:
        loaded = load_manifests([folder], datetime.now(UTC))
        assert [str(problem) for problem in loaded.problems] == []
        for document in loaded.documents.values():
            answer = kube.http.post(
                url(namespace, document.value), json=document.value, params=STRICT | {"dryRun": "All"}
            )
            assert answer.status_code == 201, f"{document.file}: {answer.text}"


def _has_kinds(file: Path) -> bool:
    return "agentfleet.dev/v1alpha1" in file.read_text()
