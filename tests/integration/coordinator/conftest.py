"""What the coordinator's tests share: the shipped server on a free port, for a fleet of its own."""

from collections.abc import AsyncIterator

import pytest
from tests.servers.coordinator import Coordinator, running_coordinator

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.settings import FleetId


@pytest.fixture
async def coordinator(redis: RedisServer, fleet_id: FleetId) -> AsyncIterator[Coordinator]:
    async with running_coordinator(redis, fleet_id) as running:
        yield running
