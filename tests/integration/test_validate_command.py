"""`agentfleet validate`: files in, file, line and field out."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentfleet_cli.main import app

POOL = """\
apiVersion: agentfleet.dev/v1alpha1
kind: AgentPool
metadata: {name: interactive}
spec:
  scaling:
    minReplicas: 1
    maxReplicas: 3
"""
TIER = """\
apiVersion: agentfleet.dev/v1alpha1
kind: ModelTier
metadata: {name: fast}
spec:
  rank: 1
  provider: {apiKeySecretRef: {name: anthropic}}
  models:
    - name: m
      prices:
        - effectiveFrom: 2026-01-01
          bands: [{input: "1", output: "1", cacheRead: "1", cacheWrite5m: "1", cacheWrite1h: "1"}]
"""
TYPE = """\
apiVersion: agentfleet.dev/v1alpha1
kind: TaskType
metadata: {name: refund}
spec:
  pool: interactive
  tier: {default: fast}
  handler: shop:refund
"""
HINT = "only these files were looked at; --against adds what is applied already"


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "fleet"
    folder.mkdir()
    (folder / "pools.yaml").write_text(POOL)
    (folder / "tiers.yaml").write_text(TIER)
    (folder / "types.yml").write_text(TYPE)
    return folder


def run(*arguments: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, ["validate", *arguments])
    return result.exit_code, result.output.splitlines()


def test_good_files_pass_and_are_counted(fleet: Path) -> None:
    assert run("-f", "fleet") == (0, ["3 objects in 3 files, no error"])


def test_errors_stand_with_their_lines_in_the_order_of_the_files(fleet: Path) -> None:
    (fleet / "pools.yaml").write_text(
        POOL.replace("minReplicas: 1", "minReplicas: 5") + "  worker:\n    imgae: x\n"
    )
    (fleet / "types.yml").write_text(TYPE.replace("default: fast", "default: fats"))
    assert run("-f", "fleet") == (
        1,
        [
            "fleet/pools.yaml:6  spec.scaling.minReplicas: 5 is above maxReplicas 3; lower it to 3 or less, "
            "or raise maxReplicas",
            "fleet/pools.yaml:9  spec.worker.imgae: unknown field; did you mean image?",
            'fleet/types.yml:6   spec.tier.default: "fats" names no ModelTier; did you mean fast?',
            "3 errors in 2 files",
            HINT,
        ],
    )


def test_json_says_the_same_for_programs(fleet: Path) -> None:
    (fleet / "pools.yaml").write_text(POOL.replace("minReplicas: 1", "minReplicas: 5"))
    code, lines = run("-f", "fleet/pools.yaml", "-o", "json")
    said = json.loads("\n".join(lines))
    assert code == 1
    assert said["valid"] is False
    (error,) = said["errors"]
    assert (error["file"], error["line"], error["kind"], error["name"], error["field"], error["type"]) == (
        "fleet/pools.yaml", 6, "AgentPool", "interactive", "spec.scaling.minReplicas", "rule",
    )  # fmt: skip


def test_a_reference_may_be_to_what_is_applied_already(fleet: Path) -> None:
    code, lines = run("-f", "fleet/types.yml")
    assert code == 1
    assert len(lines) == 4
    assert lines[-1] == HINT
    assert run("-f", "fleet/types.yml", "--against", "fleet") == (0, ["1 object in 1 file, no error"])


def test_what_is_immutable_in_what_is_applied_may_not_change(fleet: Path, tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text(POOL.replace("spec:\n", "spec:\n  lane: Batch\n"))
    code, lines = run("-f", "new.yaml", "--against", "fleet")
    assert code == 1
    assert lines[0].startswith("new.yaml:5  spec.lane: lane is immutable")


def test_a_broken_object_still_exists_for_those_that_refer_to_it(fleet: Path) -> None:
    (fleet / "tiers.yaml").write_text(TIER.replace("rank: 1", "rank: 0"))
    code, lines = run("-f", "fleet")
    assert code == 1
    assert lines == ["fleet/tiers.yaml:5  spec.rank: 0 is too low; 1 is the least", "1 error in 1 file"]


def test_secrets_are_asked_for_only_when_the_files_are_all_there_is(fleet: Path) -> None:
    code, lines = run("-f", "fleet", "--secrets")
    assert code == 1
    assert 'spec.provider.apiKeySecretRef.name: "anthropic" names no Secret; there is none' in lines[0]
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: anthropic}\nstringData: {api-key: sk}\n"
    (fleet / "secrets.yaml").write_text(secret)
    assert run("-f", "fleet", "--secrets")[0] == 0
    (fleet / "secrets.yaml").write_text(secret.replace("stringData: {api-key: sk}", "data: {api-key: sk!}"))
    assert run("-f", "fleet", "--secrets")[1][0].startswith(
        "fleet/secrets.yaml:4  data.api-key: is no base64"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1, 2", "fleet/x.yaml:1  is no YAML: while parsing a flow sequence"),
        ("just text", "fleet/x.yaml:1  is no manifest: an object with apiVersion and kind is expected"),
        ("a: &a [*a]", "fleet/x.yaml:1  is nested too deep, or an alias refers to itself"),
        (POOL + "---\n" + POOL, "x.yaml:11  metadata.name: AgentPool interactive stands in fleet/x.yaml:3"),
        (POOL.replace("spec:", "spec: {}\nspec:"), "fleet/x.yaml:4  spec: stands twice in one object"),
        (POOL.replace("kind: AgentPool\n", ""), "fleet/x.yaml:1  kind: is required"),
        (POOL.partition("\n")[2], "x.yaml:1  apiVersion: is required; write agentfleet.dev/v1alpha1"),
        (POOL.replace(".dev/", ".dv/"), 'apiVersion: "agentfleet.dv/v1alpha1" is not served; write'),
        (POOL + "---\nfoo: bar\n", "fleet/x.yaml:9  apiVersion: is required"),
        ("apiVersion: v1\nmetadata: {name: a}\n", "fleet/x.yaml:1  kind: is required"),
        ("kind: Secret\nmetadata: {name: a}\n", "fleet/x.yaml:1  apiVersion: is required"),
        (POOL.replace("kind: AgentPool", "kind: {a: b}"), "kind: "),
        ("apiVersion: agentfleet.dev/v1alpha1\nkind: AgentPool\nspec: {}\n", "metadata.name: is required"),
        (POOL.replace("active}", "active, labels: {a: 1}}"), "metadata.labels.a: must be a string"),
        (POOL.replace("name: interactive", "name: {}"), "metadata.name: must be a string, not an object"),
    ],
)  # fmt: skip
def test_files_that_are_no_manifests_are_told_where_they_break(fleet: Path, text: str, says: str) -> None:
    for file in fleet.iterdir():
        file.unlink()
    (fleet / "x.yaml").write_text(text)
    code, lines = run("-f", "fleet")
    assert code == 1
    assert any(says in line for line in lines), lines


def test_bytes_that_are_no_text_are_told_too(fleet: Path) -> None:
    (fleet / "x.yaml").write_bytes(b"a: \xff\xfe")
    assert run("-f", "fleet")[1][0] == "fleet/x.yaml:1  is no text in UTF-8"


def test_documents_of_others_lists_and_json_are_read_as_kubectl_reads_them(fleet: Path) -> None:
    for file in fleet.iterdir():
        file.unlink()
    (fleet / "ns.yaml").write_text(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n---\n"
        "apiVersion: app.terraform.io/v1alpha2\nkind: AgentPool\nmetadata: {name: theirs}\n"
    )
    ours = {"apiVersion": "agentfleet.dev/v1alpha1", "kind": "AgentPool", "spec": {}}
    items = [{**ours, "metadata": {"name": name}} for name in ("a", "b")]
    (fleet / "list.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1)
    )
    (fleet / "notes.txt").write_text("not read")
    assert run("-f", "fleet") == (0, ["2 objects in 2 files, no error"])


def test_each_namespace_is_a_fleet_of_its_own(fleet: Path) -> None:
    (fleet / "types.yml").write_text(TYPE.replace("{name: refund}", "{name: refund, namespace: other}"))
    code, lines = run("-f", "fleet")
    assert code == 1
    assert 'spec.pool: "interactive" names no AgentPool; there is none' in lines[0]


def test_a_secret_serves_its_own_namespace_alone(fleet: Path) -> None:
    metadata = "metadata: {name: anthropic, namespace: other}"
    secret = f"apiVersion: v1\nkind: Secret\n{metadata}\nstringData: {{api-key: k}}\n"
    (fleet / "secrets.yaml").write_text(secret)
    code, lines = run("-f", "fleet", "--secrets")
    assert code == 1
    assert 'spec.provider.apiKeySecretRef.name: "anthropic" names no Secret; there is none' in lines[0]


def test_nothing_of_ours_is_said_and_a_path_without_files_is_refused(fleet: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "theirs.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    assert run("-f", "theirs.yaml") == (0, ["no AgentPool, TaskType, TenantBudget or ModelTier in 1 file"])
    code, lines = run("-f", "empty")
    assert (code, lines) == (3, ["error: empty: no .yaml, .yml or .json file is in there"])
    code, lines = run("-f", "nowhere")
    assert code == 3
    assert "nowhere does not exist" in lines[0]
