"""Integration tests talk to real servers: Redis (tests/conftest.py) and kube-apiserver."""

from tests.servers.fixtures import kube, namespace

__all__ = ["kube", "namespace"]
