"""Stories on a real cluster: real pods, real images, the simulator as a pod. `make e2e` runs them.

They share one installation, each with pools and tenants of its own; those that break an installation make
their own, and come first, since some take the whole cluster.
"""

import os
from collections.abc import Iterator

import pytest
from tests.e2e.cluster import ROOT, TAG, Images, kubectl, source_tree
from tests.e2e.installation import Installation
from tests.e2e.manifests import tier

NEEDS = (
    "e2e needs a cluster: set KUBECONFIG, and IMAGE_LOAD to a command that builds and loads an image "
    "(not needed for kind and minikube); `make kind-up` makes a cluster where docker or podman answers"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "shared" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def images() -> None:
    """Everything that a pod runs, built from what git tracks. E2E_IMAGES=keep takes those of the last run."""
    if not os.environ.get("KUBECONFIG"):
        pytest.fail(NEEDS)
    kubectl("version", seconds=20)
    if os.environ.get("E2E_IMAGES") == "keep":
        return
    builder = Images()
    with source_tree() as tree:
        for service in ("operator", "coordinator", "worker", "cli"):
            builder.build(f"agentfleet-{service}", tree, target=service)
    builder.build("agentfleet-redis", ROOT / "tests" / "e2e" / "images" / "redis")
    builder.build(
        "hello-worker", ROOT / "examples" / "hello", build_args={"WORKER": f"agentfleet-worker:{TAG}"}
    )


@pytest.fixture(scope="session")
def shared(images: None) -> Iterator[Installation]:
    with Installation() as fleet:
        fleet.simulate()
        fleet.secret("anthropic", "any")
        fleet.apply(tier())
        yield fleet
