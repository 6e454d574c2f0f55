"""When a worker imports the model's SDK before anything asks for it."""

import pytest

from agentfleet_core.fleet.config import FleetConfig
from agentfleet_worker.main import calls_models

KINDS = {
    "handler": {"handler": "shop:refund"},
    "agent": {"agent": {"prompt": "Answer."}},
    "workflow": {"workflow": {"steps": [{"name": "a", "handler": "shop:a"}]}},
}


@pytest.mark.parametrize(("kind", "expected"), [("handler", False), ("agent", True), ("workflow", True)])
def test_a_pool_of_handlers_alone_imports_no_sdk_ahead(kind: str, expected: bool) -> None:
    other = {"pool": "other", "tier": {"default": "fast"}, **KINDS["agent"]}
    task_type = {"pool": "chat", "pools": ["night"], "tier": {"default": "fast"}, **KINDS[kind]}
    config = FleetConfig.model_validate({
        "install": "i",
        "namespace": "n",
        "taskTypes": {"one": task_type, "another": other},
    })  # fmt: skip
    assert calls_models(config, "chat") is expected
    assert calls_models(config, "night") is expected, "a task may be sent there too"
    assert not calls_models(config, "elsewhere")
