"""What local mode changes in manifests, and nothing else."""

from pathlib import Path

import pytest

from agentfleet_cli.demo.spend import question, worst_case
from agentfleet_cli.local.example_command import example_command
from agentfleet_cli.local.key_ring import KeyRing, write_secrets
from agentfleet_cli.local.local_config import LocalFleetConfig, localize
from agentfleet_cli.local.manifests import read_manifests, stamp
from agentfleet_core.api.v1alpha1 import ModelTier, TenantBudget
from agentfleet_core.errors import InvalidManifest
from agentfleet_core.fleet.config import FleetConfig

EXAMPLE = Path(__file__).parents[2] / "examples" / "support"


def local(*, simulator_url: str | None, given: dict[str, dict[str, bytes]] | None = None) -> LocalFleetConfig:
    return localize(
        read_manifests(EXAMPLE).resources,
        given or {},
        simulator_url=simulator_url,
        provider_key="real-key",
        new_key=lambda owner: f"made-for-{owner}",
    )


def test_with_the_simulator_every_tier_points_at_it_and_no_real_key_is_written() -> None:
    found = local(simulator_url="http://127.0.0.1:9")
    tiers = [one for one in found.resources if isinstance(one, ModelTier)]
    assert {tier.spec.provider.base_url for tier in tiers} == {"http://127.0.0.1:9"}
    assert found.secrets["anthropic"] == {"api-key": b"simulated"}
    assert found.provider_secrets == {"anthropic"}


def test_with_the_real_provider_tiers_stay_as_written_and_get_the_key() -> None:
    found = local(simulator_url=None)
    tiers = [one for one in found.resources if isinstance(one, ModelTier)]
    assert {tier.spec.provider.base_url for tier in tiers} == {None}
    assert found.secrets["anthropic"] == {"api-key": b"real-key"}


def test_a_key_that_a_secret_gives_is_kept_and_others_are_made() -> None:
    found = local(simulator_url=None, given={"acme-key": {"api-key": b"from-the-file"}})
    assert found.tenant_keys == {"acme": "from-the-file", "globex": "made-for-globex"}
    assert found.admin_key == "made-for-admin"


def test_budgets_keep_their_limits() -> None:
    before = [one.spec.limits for one in read_manifests(EXAMPLE).resources if isinstance(one, TenantBudget)]
    after = [
        one.spec.limits for one in local(simulator_url="http://x").resources if isinstance(one, TenantBudget)
    ]
    assert after == before


def test_made_keys_are_the_same_again_where_data_is_kept(tmp_path: Path) -> None:
    key = KeyRing(tmp_path).key("acme")
    assert KeyRing(tmp_path).key("acme") == key
    assert KeyRing(None).key("acme") != key
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0


def test_secrets_are_files_as_a_volume_has_them(tmp_path: Path) -> None:
    write_secrets(tmp_path, {"anthropic": {"api-key": b"one"}})
    file = tmp_path / "anthropic" / "api-key"
    assert file.read_bytes() == b"one"
    assert file.stat().st_mode & 0o077 == 0
    write_secrets(tmp_path, {"anthropic": {"api-key": b"two"}})
    assert file.read_bytes() == b"two"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "apiVersion: agentfleet.dev/v1alpha1\nkind: AgentPool\nmetadata: {name: a}\n"
            "spec: {lnae: Batch}\n",
            "bad.yaml:4  spec.lnae: unknown field; did you mean lane",
        ),
        ("kind: [", "bad.yaml"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "holds no AgentPool"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_or_field(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(InvalidManifest, match=words):
        read_manifests(tmp_path)


def test_a_changed_file_shows_in_the_stamp(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a")
    before = stamp(tmp_path)
    file.write_text("ab")
    assert stamp(tmp_path) != before


def test_the_worst_case_of_the_demo_is_what_its_budgets_allow() -> None:
    worst = worst_case(read_manifests(EXAMPLE).resources)
    assert worst == 1_030_000_000
    assert "at most $1.03" in question(worst)
    assert "no limit" in question(None)


def test_the_command_that_is_shown_fits_the_type_of_highest_priority() -> None:
    types = {
        one.metadata.name: one.spec for one in read_manifests(EXAMPLE).resources if one.kind == "TaskType"
    }
    config = FleetConfig(install="local", namespace="default", task_types=types)
    command = example_command(config)
    assert command[:3] == ["submit", "refund-request", "order=A-1001"]
    assert command[-1] == "--wait"
