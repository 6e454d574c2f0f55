"""Local mode's operator: manifests from files, compiled and published, and again whenever a file changes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from agentfleet_cli.local.key_ring import KeyRing, write_secrets
from agentfleet_cli.local.local_config import LocalFleetConfig, localize
from agentfleet_cli.local.manifests import read_manifests, stamp
from agentfleet_cli.manifests import Loaded
from agentfleet_core.errors import InvalidManifest
from agentfleet_core.fleet.compile import compile_fleet
from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.fleet.store import publish
from agentfleet_core.keyspace.keys import FleetKeys

LOOK_SECONDS: Final = 0.5
"""Between two looks at the files: fast enough to feel at once, and a few stat calls each."""


class Publisher:
    """`config` and `local` are what was published last."""

    def __init__(
        self,
        manifests: Path,
        redis: Redis,
        keys: FleetKeys,
        key_ring: KeyRing,
        *,
        secrets_folder: Path,
        simulator_url: str | None,
        provider_key: str,
    ) -> None:
        self._manifests = manifests
        self._redis = redis
        self._keys = keys
        self._key_ring = key_ring
        self._secrets_folder = secrets_folder
        self._simulator_url = simulator_url
        self._provider_key = provider_key
        # One publisher at a time, and a later one wins: the start's second is its term.
        self._term = int(time.time())
        self._stamp: object = None
        self._loaded: Loaded | None = None
        self.config = FleetConfig(install=keys.fleet.install, namespace=keys.fleet.namespace)
        self.local: LocalFleetConfig

    async def publish(self) -> int:
        """The config's version. Raises `InvalidManifest`, a line per mistake; what stood before goes on."""
        self._stamp = stamp(self._manifests)
        manifests = read_manifests(self._manifests, before=self._loaded)
        local = localize(
            manifests.resources,
            {name: keys for named in manifests.secrets.values() for name, keys in named.items()},
            simulator_url=self._simulator_url,
            provider_key=self._provider_key,
            new_key=self._key_ring.key,
        )
        now = datetime.now(UTC)
        compiled = compile_fleet(self._keys.fleet, local.resources, local.secrets, now)
        if compiled.findings:
            raise InvalidManifest(
                "\n".join(f"{one.kind} {one.name}: {one.field}: {one.message}" for one in compiled.findings)
            )
        provider = {name: local.secrets[name] for name in local.provider_secrets}
        write_secrets(self._secrets_folder, provider)
        version = await publish(self._redis, self._keys, compiled.config, self._term)
        self.config, self.local, self._loaded = compiled.config, local, manifests
        return version

    async def watch(self, say: Callable[[str], None], published: Callable[[], Awaitable[None]]) -> None:
        """Publish again after each change of a file, and call `published`, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if stamp(self._manifests) == self._stamp:
                    continue
                version = await self.publish()
            except InvalidManifest as error:
                say(f"the changed manifests are not taken:\n{error}")
            except FileNotFoundError:
                # An editor replaces a file in two steps; the next look sees the second.
                self._stamp = None
            else:
                say(f"manifests changed: fleet config version {version}")
                await published()
