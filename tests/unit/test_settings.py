"""What a process says when its environment does not tell it where Redis is."""

from pathlib import Path

import pytest

from agentfleet_core.errors import InvalidInput
from agentfleet_core.settings import read_settings

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


def test_a_file_goes_before_the_environment(tmp_path: Path) -> None:
    url = tmp_path / "url"
    url.write_text("rediss://user:hunter2@redis:6380/0\n")
    found = read_settings({"AGENTFLEET_REDIS_URL_FILE": str(url), "AGENTFLEET_REDIS_URL": "redis://other"})
    assert found.redis_url == "rediss://user:hunter2@redis:6380/0"


def test_a_laptop_has_a_default_and_a_pod_has_none() -> None:
    assert read_settings({}).redis_url == "redis://127.0.0.1:6379/0"
    with pytest.raises(InvalidInput, match="neither AGENTFLEET_REDIS_URL_FILE nor"):
        read_settings(POD)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "which cannot be read: No such file"),
        (" \n", "which is empty"),
        ("user:hunter2@redis:6379", "holds no URL of Redis; it must begin with redis://"),
    ],
)
def test_a_secret_that_does_not_fit_is_named_and_not_shown(
    tmp_path: Path, content: str | None, says: str
) -> None:
    url = tmp_path / "url"
    if content is not None:
        url.write_text(content)
    with pytest.raises(InvalidInput, match=says) as refused:
        read_settings(POD | {"AGENTFLEET_REDIS_URL_FILE": str(url)})
    assert "hunter2" not in str(refused.value)
    assert refused.value.field == "AGENTFLEET_REDIS_URL_FILE"
