"""The pytest side of tests/servers: one kube-apiserver for all processes of a run, a namespace for each test.

A folder's conftest imports what it uses: `from tests.servers.fixtures import kube, namespace`. When the
server cannot be made, the tests fail: a skipped test proves nothing.
"""

import uuid
from collections.abc import Iterator

import pytest
from tests.servers.kube import KubeApiserver, run_key, shared_kube_apiserver


@pytest.fixture(scope="session")
def kube() -> Iterator[KubeApiserver]:
    with shared_kube_apiserver(run_key()) as server:
        yield server


@pytest.fixture
def namespace(kube: KubeApiserver) -> str:
    """Empty, and this test's alone. It is not deleted: nothing would finish that, and the server goes
    anyway.
    """
    name = f"test-{uuid.uuid4().hex[:12]}"
    kube.create_namespace(name)
    return name
