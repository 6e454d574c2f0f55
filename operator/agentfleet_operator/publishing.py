"""Compiles the fleet config from what was seen and publishes it under the leader's term.

A burst of changes is answered by one compile. A Redis that lost its data gets the config back. A deposed
leader's publish is refused by Redis itself.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from redis.asyncio import Redis

from agentfleet_core.errors import AgentfleetError, Conflict, Unavailable
from agentfleet_core.fleet.compile import Compiled, RevisionOf, compile_fleet, secret_names
from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.fleet.store import ConfigFollower, publish
from agentfleet_core.keyspace.connect import reaching_redis
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.settings import FleetId
from agentfleet_operator.leadership import Leadership
from agentfleet_operator.secrets import SecretReader
from agentfleet_operator.state import FleetState

log = logging.getLogger(__name__)

COALESCE_SECONDS = 0.05
RETRY_SECONDS = 1.0
HEAL_SECONDS = 60.0
"""How often findings are judged anew that time alone can heal, such as a price's first day."""
CALM_SECONDS = 3_600.0
CHECK_SECONDS = 5.0
"""How often Redis is asked whether it still has the config."""


class Publishing:
    """`run()` beside the leader's other work; `compiled` is called after each compile, published or not."""

    def __init__(
        self,
        fleet_id: FleetId,
        state: FleetState,
        secrets: SecretReader,
        redis: Redis,
        follower: ConfigFollower,
        leadership: Leadership,
        compiled: Callable[[Compiled], None],
        revision_of: RevisionOf,
    ) -> None:
        self._fleet_id = fleet_id
        self._keys = FleetKeys(fleet_id)
        self._state = state
        self._secrets = secrets
        self._redis = redis
        self._follower = follower
        self._leadership = leadership
        self._compiled = compiled
        self._revision_of = revision_of
        self._last: Compiled | None = None
        self._cost_seconds = 0.0

    async def run(self) -> None:
        self._state.changes.config.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._compile_on_change())
            tasks.create_task(self._keep_published())

    async def _compile_on_change(self) -> None:
        changed = self._state.changes.config
        while True:
            calm = self._last is None or not self._last.findings
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CALM_SECONDS if calm else HEAL_SECONDS):
                    await changed.wait()
            # A fleet of many objects costs more to compile; it waits longer for the rest of a burst.
            await asyncio.sleep(max(COALESCE_SECONDS, 4 * self._cost_seconds))
            changed.clear()
            try:
                await self._compile()
            except AgentfleetError as error:
                log.warning("the fleet config is not up to date: %s", error)
                changed.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _compile(self) -> None:
        resources = self._state.readable()
        self._state.secrets_in_use = secret_names(resources)
        secrets = await self._secrets.read(self._state.secrets_in_use)
        began = time.perf_counter()
        self._last = compile_fleet(
            self._fleet_id,
            resources,
            secrets,
            datetime.now(UTC),
            previous=self._previous(),
            revision_of=self._revision_of,
        )
        self._cost_seconds = time.perf_counter() - began
        self._compiled(self._last)
        await self._publish(self._last.config)

    def _previous(self) -> FleetConfig | None:
        """What was accepted before: as compiled here last, else as an earlier leader published it."""
        if self._last is not None:
            return self._last.config
        return self._follower.config if self._follower.config.version else None

    async def _publish(self, config: FleetConfig) -> None:
        try:
            version = await publish(self._redis, self._keys, config, self._leadership.term)
        except Conflict:
            await self._outgrow()
            version = await publish(self._redis, self._keys, config, self._leadership.term)
        log.debug("the fleet config is published", extra={"version": version})

    async def _outgrow(self) -> None:
        """A newer term published. Where the Lease is still ours it had been deleted: take a term above.

        Where it is not, renewing it fails, and this process ends as it must.
        """
        with reaching_redis():
            stored = await self._redis.hget(self._keys.config, "term")
        await self._leadership.raise_term(int(stored or 0) + 1)

    async def _keep_published(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if self._last is None:
                continue
            try:
                with reaching_redis():
                    there = await self._redis.hexists(self._keys.config, "body")
                if not there:
                    await self._publish(self._last.config)
            except Unavailable as error:
                log.warning("Redis cannot be asked for the fleet config: %s", error)
