"""One loop over all pools: read what changed in one round trip, plan, have it carried out.

A signal wakes it at once; a pool with work or workers is looked at each second; one without costs nothing
until its signal, but for a slow re-read of everything, since a signal may be lost. What decides is the
planner; here is only the order of things. One pool's trouble never stops another's: its plan is retried,
backed off.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.typing import EncodableT, FieldT

from agentfleet_core.autoscaler.carry_out import Carriers
from agentfleet_core.autoscaler.measure import count_ends, count_plan, forget
from agentfleet_core.autoscaler.ports import Actuator, CounterSource, FleetView
from agentfleet_core.autoscaler.record import encode_plan
from agentfleet_core.autoscaler.source import RedisCounters
from agentfleet_core.autoscaler.state import PoolState
from agentfleet_core.errors import Unavailable
from agentfleet_core.keyspace.connect import channels_of
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.planner.plan import plan
from agentfleet_core.settings import FleetId
from agentfleet_core.telemetry import metrics

log: Final = logging.getLogger(__name__)

COALESCE_SECONDS: Final = 0.002
"""Signals that come so close together are answered by one read."""
RE_READ_SECONDS: Final = 30.0
"""How often a pool is read that sent no signal."""
UNKNOWN_RETRY_SECONDS: Final = 1.0


class Autoscaler:
    """`run()` until cancelled. One per fleet at a time; the caller sees to that."""

    def __init__(
        self,
        redis: Redis,
        fleet_id: FleetId,
        follower: FleetView,
        actuator: Actuator,
        *,
        source: CounterSource | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._keys = FleetKeys(fleet_id)
        self._follower = follower
        self._actuator = actuator
        self._source = source or RedisCounters(redis, fleet_id)
        self._monotonic = monotonic
        self._states: dict[str, PoolState] = {}
        self._dirty: set[str] = set()
        self._bell = asyncio.Event()
        self._carriers = Carriers(self._carry_out, self.wake)

    @property
    def pools(self) -> Mapping[str, PoolState]:
        """What is known of each pool: its newest snapshot, plan and scale events."""
        return self._states

    def wake(self, pool: str | None = None) -> None:
        """Plan this pool (None: all) at once; whoever runs workers calls it when their state changed."""
        self._dirty.update(self._follower.config.pools if pool is None else (pool,))
        self._bell.set()

    async def run(self) -> None:
        signals = channels_of(self._redis).listen(self._keys.signals, self._hear)
        try:
            async with signals, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_config(), name="autoscaler-config")
                tasks.create_task(self._rounds(), name="autoscaler-rounds")
        finally:
            await self._carriers.close()

    async def _rounds(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_to_next()):
                    await self._bell.wait()
            await asyncio.sleep(COALESCE_SECONDS)
            self._bell.clear()
            pools = self._take_due()
            if pools:
                with metrics.PLAN_SECONDS.time():
                    await self._round(pools)

    async def _round(self, pools: Sequence[str]) -> None:
        await self._read(pools)
        changed = []
        for name in pools:
            state = self._states[name]
            try:
                made = self._plan(state)
            except Exception:
                # The edge of one pool: whatever is wrong with it must not stop the others.
                log.exception("a pool could not be planned", extra={"pool": name})
                continue
            if made:
                changed.append(name)
        await self._publish(changed)

    def _seconds_to_next(self) -> float:
        now = self._monotonic()
        first = min((state.due_at_seconds for state in self._states.values()), default=now + RE_READ_SECONDS)
        return max(0.0, first - now)

    def _take_due(self) -> list[str]:
        """The pools to plan now; those that left the config are forgotten."""
        known = self._follower.config.pools
        for name in [name for name in self._states if name not in known]:
            del self._states[name]
            forget(name)
        now = self._monotonic()
        due = [name for name in known if name in self._dirty or self._state(name).due_at_seconds <= now]
        self._dirty.clear()
        return due

    def _state(self, name: str) -> PoolState:
        state = self._states.get(name)
        if state is None:
            state = self._states[name] = PoolState(name)
        return state

    async def _read(self, pools: Sequence[str]) -> None:
        """One round trip for the counters, and the workers of those pools that have any."""
        staffed = [name for name in pools if self._has_workers(name)]
        try:
            counters, records = await self._source.read(pools, staffed)
        except Unavailable as error:
            log.warning("the queue cannot be read; nothing shrinks: %s", error)
            for name in pools:
                self._state(name).known = False
            return
        now = self._monotonic()
        for name, reading in zip(pools, counters, strict=True):
            state = self._state(name)
            count_ends(name, state.history.last, reading)
            state.read(reading, now)
        for name, found in zip(staffed, records, strict=True):
            seen = self._actuator.observe(name)
            self._state(name).read_workers(found, seen.live_workers if seen else None)

    def _has_workers(self, name: str) -> bool:
        seen = self._actuator.observe(name)
        return seen is not None and (seen.replicas > 0 or seen.ready > 0)

    def _plan(self, state: PoolState) -> bool:
        """Plan one pool and start what follows from it; whether the plan is news."""
        config = self._follower.config
        compiled, seen = config.pools.get(state.name), self._actuator.observe(state.name)
        now = self._monotonic()
        state.due_at_seconds = now + RE_READ_SECONDS
        if compiled is None or seen is None:
            return False
        paused_by = self._follower.paused(pool=state.name) if self._follower.fresh else None
        snapshot = state.see(compiled, seen, paused_by, now, config.task_types, config.tenants)
        before, made = state.plan, plan(snapshot)
        told = made == before and state.snapshot is not None and state.snapshot.trouble == snapshot.trouble
        event = state.remember(snapshot, made)
        wait = made.next_check_seconds if snapshot.known else UNKNOWN_RETRY_SECONDS
        state.due_at_seconds = now + min(RE_READ_SECONDS, RE_READ_SECONDS if wait is None else wait)
        if made.drain or made.replicas != seen.replicas:
            self._carriers.start(state.name)
        self._actuator.planned(snapshot, made)
        count_plan(snapshot, made, before, event)
        return not told

    async def _carry_out(self, name: str) -> None:
        """Drain, then apply; with the newest plan, whichever asked for it."""
        state, compiled = self._states.get(name), self._follower.config.pools.get(name)
        if state is None or state.plan is None or compiled is None:
            return
        newest = state.plan
        if newest.drain:
            await self._source.drain(name, newest.drain)
            self.wake(name)
        seen = self._actuator.observe(name)
        if seen is None or newest.replicas == seen.replicas or state.asked_lately(self._monotonic()):
            return
        await self._actuator.apply(name, compiled, newest)
        state.asked = (newest.replicas, self._monotonic())

    async def _publish(self, pools: Iterable[str]) -> None:
        records: dict[FieldT, EncodableT] = {
            name: encode_plan(state.snapshot, state.plan, state.events)
            for name in pools
            if (state := self._states.get(name)) and state.plan and state.snapshot
        }
        if not records:
            return
        # Readers see an older plan meanwhile; the next changed one brings all with it.
        with contextlib.suppress(RedisError, OSError):
            await self._redis.hset(self._keys.plans, mapping=records)

    def _hear(self, signal: bytes) -> None:
        """After a lost connection all is read once, since some were missed."""
        kind, _, name = signal.decode(errors="replace").partition("/")
        if kind == "pool":
            self.wake(name)
        elif not signal:
            self.wake()

    async def _follow_config(self) -> None:
        async for _ in self._follower.changes():
            self.wake()
