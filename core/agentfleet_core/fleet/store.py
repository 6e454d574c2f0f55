"""The fleet config in Redis: published by one leader, followed by every process within a second.

A switch pauses by hand what the manifests leave running. Whoever cannot see Redis knows neither config nor
switches: after a second of silence a follower calls everything paused, and nothing is paid for until it
hears again.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self, cast

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agentfleet_core.errors import Conflict, NotFound, Unavailable
from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.fleet.pauses import UNKNOWN, Pauses, Switch, Target
from agentfleet_core.fleet.throttles import Throttles, read_throttles
from agentfleet_core.keyspace.connect import channels_of, reaching_redis
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.keyspace.scripts import load_script
from agentfleet_core.telemetry import metrics

log = logging.getLogger(__name__)

PUBLISH = load_script("agentfleet_core.fleet", "publish")
SWITCH = load_script("agentfleet_core.fleet", "switch")


async def publish(redis: Redis, keys: FleetKeys, config: FleetConfig, term: int) -> int:
    """The version that stands now; a new one only when the content changed, so calling it again is harmless.

    Raises `Conflict` when a newer term has published (the caller is deposed), `Unavailable` without Redis.
    """
    holds, number = await PUBLISH.run(redis, [keys.config], [term, encode(config), keys.changes])
    if not holds:
        raise Conflict(f"term {term} is over: term {number} publishes the fleet config now")
    return int(number)


def encode(config: FleetConfig) -> str:
    """The same text for the same content, whatever the order its parts were built in."""
    content = config.model_dump(mode="json", by_alias=True, exclude={"version", "term"}, exclude_none=True)
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def decode(body: bytes, *, version: int, term: int) -> FleetConfig:
    """Fields that a newer publisher added are ignored, so old workers go on during an upgrade."""
    config = FleetConfig.model_validate_json(body, extra="ignore")
    return config.model_copy(update={"version": version, "term": term})


async def set_pause(redis: Redis, keys: FleetKeys, target: str, on: bool, by: str) -> bool:
    """Pause or resume `fleet`, `pool/NAME`, `tenant/NAME` or `task-type/NAME`; False when it was so already.

    Raises `InvalidInput` for another target, `Unavailable` without Redis.
    """
    Target.parse(target)
    arguments = [target, "1" if on else "0", json.dumps(by), keys.changes]
    changed = await SWITCH.run(redis, [keys.switches], arguments)
    return bool(changed)


class ConfigFollower:
    """The newest config and switches: told of a change by a signal, and re-checked each half second.

    Use it as an async context manager, or call `start` and `close`.
    """

    def __init__(
        self,
        redis: Redis,
        keys: FleetKeys,
        *,
        check_seconds: float = 0.5,
        silence_seconds: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._check_seconds = check_seconds
        self._silence_seconds = silence_seconds
        self._monotonic = monotonic
        self._config = FleetConfig(install=keys.fleet.install, namespace=keys.fleet.namespace)
        self._pauses = Pauses(self._config)
        self._throttles: Throttles = {}
        self._digest = b""
        self._heard = float("-inf")
        self._changed = asyncio.Condition()
        self._changes = 0
        self._reader: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        """Raises `Unavailable` when Redis cannot be read; afterwards silence shows in `fresh` alone."""
        await self._read()
        self._reader = asyncio.create_task(self._keep_reading(), name="fleet-config")

    async def close(self) -> None:
        self._closing = True  # a cancel inside the Redis client may come out as a lost connection
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        async with self._changed:
            self._changed.notify_all()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def config(self) -> FleetConfig:
        """The newest one seen; version 0 and empty before any was published."""
        return self._config

    @property
    def switches(self) -> Mapping[str, Switch]:
        """Target to its pause by hand."""
        return self._pauses.switches

    @property
    def pauses(self) -> Pauses:
        """What config and switches pause, as far as was heard; the same object until either changes."""
        return self._pauses

    @property
    def throttles(self) -> Throttles:
        """Models that take no calls now, as far as was heard."""
        return self._throttles

    @property
    def fresh(self) -> bool:
        """Whether Redis answered within the last second: what is known here still holds."""
        return self._monotonic() - self._heard <= self._silence_seconds

    def paused(
        self, *, pool: str | None = None, tenant: str | None = None, task_type: str | None = None
    ) -> str | None:
        """What is paused of these (`fleet`, `pool/NAME`, …), or None when a paid call may start."""
        return self._pauses.of(pool=pool, tenant=tenant, task_type=task_type) if self.fresh else UNKNOWN

    async def changes(self) -> AsyncIterator[FleetConfig]:
        """The config as it is now, then again after each change of it or of a switch, until `close`.

        A slow reader misses what was replaced meanwhile, never the newest.
        """
        seen = -1
        while self._reader:
            if seen != self._changes:
                seen = self._changes
                yield self._config
                continue
            async with self._changed:
                await self._changed.wait_for(lambda: self._changes != seen or not self._reader)  # noqa: B023

    async def _keep_reading(self) -> None:
        async with channels_of(self._redis).listen(self._keys.changes) as bell:
            while not self._closing:
                rings = bell.rings
                # Silence is no error here: it shows in `fresh`, and the next round asks again.
                with contextlib.suppress(Unavailable):
                    try:
                        await self._read()
                    except RedisError as error:
                        # Redis answers, but not this: no reason to stop asking, and until then all is paused.
                        log.error("the fleet config cannot be read: %s", error)
                await bell.after(rings, self._check_seconds)

    async def _read(self) -> None:
        asked = self._monotonic()
        try:
            with reaching_redis():
                async with asyncio.timeout(self._silence_seconds):
                    await self._read_now()
        except Unavailable:
            metrics.REDIS_UP.set(0)
            raise
        metrics.REDIS_UP.set(1)
        # From the asking, not from the answer: what was read may be as old as that.
        self._heard = max(self._heard, asked)

    async def _read_now(self) -> None:
        pipe = self._redis.pipeline(transaction=False)
        pipe.hget(self._keys.config, "digest")
        pipe.hgetall(self._keys.switches)
        pipe.hgetall(self._keys.throttles)
        pipe.time()
        digest, switches, throttles, redis_time = await pipe.execute()
        self._throttles = read_throttles(throttles, redis_time=redis_time, monotonic=self._monotonic())
        if digest is not None and digest != self._digest:
            await self._read_config()
        read = {target.decode(): _switch(text) for target, text in switches.items()}
        if read != self._pauses.switches:
            self._pauses = Pauses(self._config, MappingProxyType(read))
            await self._announce()

    async def _read_config(self) -> None:
        published = await _published(self._redis, self._keys)
        if published is None:
            return
        self._digest = published.digest
        try:
            self._config = published.decode()
        except ValidationError as error:
            log.error("fleet config %s cannot be read, the former one stays: %s", published.version, error)
            return
        self._pauses = Pauses(self._config, self._pauses.switches)
        await self._announce()

    async def _announce(self) -> None:
        async with self._changed:
            self._changes += 1
            self._changed.notify_all()


def _switch(text: bytes) -> Switch:
    """A pause whose note cannot be read is a pause all the same."""
    try:
        content: dict[str, Any] = json.loads(text)
        return Switch(by=str(content["by"]), at_ms=int(content["at_ms"]))
    except (ValueError, KeyError, TypeError):
        return Switch(by="", at_ms=0)


async def switches(redis: Redis, keys: FleetKeys) -> dict[str, Switch]:
    """Read once, for a caller that does not follow. Raises `Unavailable` without Redis."""
    with reaching_redis():
        found = cast("dict[bytes, bytes]", await redis.hgetall(keys.switches))
    return {target.decode(): _switch(text) for target, text in found.items()}


async def read_config(redis: Redis, keys: FleetKeys) -> FleetConfig:
    """Read once, for a caller that does not follow.

    Raises `NotFound` before the first publish, `Unavailable` without Redis.
    """
    with reaching_redis():
        published = await _published(redis, keys)
    if published is None:
        raise NotFound("FleetConfig", f"{keys.fleet.install}/{keys.fleet.namespace}")
    return published.decode()


@dataclass(frozen=True, slots=True)
class _Published:
    version: int
    term: int
    digest: bytes
    body: bytes

    def decode(self) -> FleetConfig:
        return decode(self.body, version=self.version, term=self.term)


async def _published(redis: Redis, keys: FleetKeys) -> _Published | None:
    fields = await redis.hmget(keys.config, ["version", "term", "digest", "body"])
    version, term, digest, body = cast("list[bytes | None]", fields)
    if version is None or term is None or digest is None or body is None:
        return None
    return _Published(int(version), int(term), digest, body)
