"""Shared by all tests: one real Redis per test process; each test has a fleet of its own in it."""

import uuid
from collections.abc import Iterator

import pytest

from agentfleet_cli.local.redis_server import RedisServer, redis_server
from agentfleet_core.settings import FleetId


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden texts anew; read the diff"
    )


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    with redis_server(append_only=False) as server:
        yield server


@pytest.fixture
def fleet_id() -> FleetId:
    return FleetId("test", f"ns-{uuid.uuid4().hex[:12]}")
