"""Integration tests talk to real servers: Redis (tests/conftest.py) and kube-apiserver."""

import contextlib

import pytest
from tests.servers.build import NEEDED, CannotBuildError, programs
from tests.servers.fixtures import kube, namespace

__all__ = ["kube", "namespace"]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what the tests need before the first of them starts: a build lasts longer than a test may."""
    if any("kube" in getattr(item, "fixturenames", ()) for item in session.items):
        # When it cannot be built, the tests that need it fail and say so; the others run.
        with contextlib.suppress(CannotBuildError):
            programs(*NEEDED)
