from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.worker.rig import Fleet, simulated_provider

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_cli.simulator.behaviour import Behaviour
from agentfleet_cli.simulator.server import Simulator
from agentfleet_core.settings import FleetId


@pytest.fixture
async def provider() -> AsyncIterator[tuple[Simulator, str]]:
    async with simulated_provider(Behaviour(seed=7, speed=1_000.0, keys=("key-of-the-fleet",))) as running:
        yield running


@pytest.fixture
async def fleet(
    redis: RedisServer, fleet_id: FleetId, provider: tuple[Simulator, str], tmp_path: Path
) -> AsyncIterator[Fleet]:
    folder = tmp_path / "secrets" / "provider"
    folder.mkdir(parents=True)
    (folder / "api-key").write_text("key-of-the-fleet\n")
    fleet = Fleet(redis, fleet_id, provider[1], tmp_path / "secrets")
    yield fleet
    await fleet.close()
