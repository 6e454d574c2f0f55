"""The fleet config and the switches in a real Redis: one leader writes, everybody follows within a second."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from agentfleet_cli.local.redis_server import RedisServer, free_port, redis_server
from agentfleet_core.api.v1alpha1 import AgentPoolSpec, TenantBudgetSpec
from agentfleet_core.errors import Conflict, InvalidInput, NotFound, Unavailable
from agentfleet_core.fleet.config import CompiledPool, CompiledTenant, FleetConfig
from agentfleet_core.fleet.pauses import UNKNOWN
from agentfleet_core.fleet.store import (
    ConfigFollower,
    publish,
    read_config,
    set_pause,
    switches,
)
from agentfleet_core.fleet.throttles import throttle
from agentfleet_core.keyspace.connect import connect
from agentfleet_core.keyspace.keys import FleetKeys
from agentfleet_core.settings import FleetId
from agentfleet_core.telemetry.metrics import REGISTRY


@pytest.fixture
async def client(redis: RedisServer) -> AsyncIterator[Redis]:
    client = connect(redis.url)
    yield client
    await client.aclose()


@pytest.fixture
def keys(fleet_id: FleetId) -> FleetKeys:
    return FleetKeys(fleet_id)


def config(keys: FleetKeys, concurrency: int = 4, *, paused: bool = False) -> FleetConfig:
    spec = AgentPoolSpec(concurrency=concurrency, paused=paused)
    tenant = CompiledTenant(budget="acme", spec=TenantBudgetSpec(tenant="acme"))
    return FleetConfig(
        install=keys.fleet.install,
        namespace=keys.fleet.namespace,
        pools={"p": CompiledPool(spec=spec, revision="r1")},
        tenants={"acme": tenant},
    )


async def until(holds: Callable[[], bool]) -> None:
    """For what has no event: the passing of time, and a log line."""
    while not holds():  # noqa: ASYNC110 - see above
        await asyncio.sleep(0.01)


async def test_the_version_grows_with_the_content_and_with_nothing_else(
    client: Redis, keys: FleetKeys
) -> None:
    assert [await publish(client, keys, config(keys), 1) for _ in range(3)] == [1, 1, 1]
    assert await publish(client, keys, config(keys, 5), 1) == 2
    assert await publish(client, keys, config(keys, 5), 2) == 2
    read = await read_config(client, keys)
    assert (read.version, read.term, read.pools["p"].spec.concurrency) == (2, 2, 5)


async def test_a_deposed_leaders_write_is_refused_and_changes_nothing(client: Redis, keys: FleetKeys) -> None:
    await publish(client, keys, config(keys, 4), 7)
    for late in (config(keys, 4), config(keys, 9)):
        with pytest.raises(Conflict, match="term 6 is over: term 7"):
            await publish(client, keys, late, 6)
    assert (await read_config(client, keys)).pools["p"].spec.concurrency == 4


async def test_before_the_first_publish_there_is_nothing_to_read(client: Redis, keys: FleetKeys) -> None:
    with pytest.raises(NotFound):
        await read_config(client, keys)
    async with ConfigFollower(client, keys) as follower:
        assert (follower.config.version, follower.fresh) == (0, True)


async def test_a_follower_sees_each_change_as_it_comes(client: Redis, keys: FleetKeys) -> None:
    async with ConfigFollower(client, keys) as follower, asyncio.timeout(5):
        seen = follower.changes()
        assert (await anext(seen)).version == 0
        for version in (1, 2, 3):
            await publish(client, keys, config(keys, version), 1)
            assert (await anext(seen)).version == version
            assert follower.config.pools["p"].spec.concurrency == version


async def test_a_follower_catches_up_when_its_signal_was_lost(client: Redis, keys: FleetKeys) -> None:
    elsewhere = FleetKeys(FleetId(keys.fleet.install, "elsewhere"))
    async with ConfigFollower(client, keys, check_seconds=0.02) as follower, asyncio.timeout(5):
        seen = follower.changes()
        await anext(seen)
        deaf = FleetKeysWithChannel(keys, elsewhere.changes)
        await publish(client, deaf, config(keys), 1)
        assert (await anext(seen)).version == 1


class FleetKeysWithChannel(FleetKeys):
    """The same keys, but changes are told where nobody listens."""

    def __init__(self, keys: FleetKeys, channel: str) -> None:
        super().__init__(keys.fleet)
        object.__setattr__(self, "_channel", channel)

    @property
    def changes(self) -> str:
        return str(object.__getattribute__(self, "_channel"))


async def test_fields_of_a_newer_publisher_are_ignored(client: Redis, keys: FleetKeys) -> None:
    await publish(client, keys, config(keys), 1)
    body = await client.hget(keys.config, "body")
    assert isinstance(body, bytes)
    newer = body.replace(b'"concurrency":4', b'"concurrency":4,"fromTheFuture":{"a":1}')
    await client.hset(keys.config, mapping={"body": newer, "digest": b"other", "version": 2})
    async with ConfigFollower(client, keys) as follower:
        assert follower.config.version == 2


async def test_a_config_that_cannot_be_read_leaves_the_former_one(
    client: Redis, keys: FleetKeys, caplog: pytest.LogCaptureFixture
) -> None:
    async with ConfigFollower(client, keys, check_seconds=0.02) as follower, asyncio.timeout(5):
        seen = follower.changes()
        await anext(seen)
        await publish(client, keys, config(keys), 1)
        await anext(seen)
        await client.hset(keys.config, mapping={"body": b'{"install": 1}', "digest": b"other", "version": 2})
        await until(lambda: "cannot be read, the former one stays" in caplog.text)
        assert follower.config.version == 1
        assert follower.fresh


async def test_pause_and_resume_reach_a_follower_and_name_what_is_paused(
    client: Redis, keys: FleetKeys
) -> None:
    await publish(client, keys, config(keys), 1)
    async with ConfigFollower(client, keys) as follower, asyncio.timeout(5):
        seen = follower.changes()
        await anext(seen)
        for target, hit, missed in [
            ("fleet", {}, None),
            ("pool/p", {"pool": "p"}, {"pool": "q"}),
            ("tenant/acme", {"tenant": "acme"}, {"tenant": "globex"}),
            ("task-type/refund", {"task_type": "refund"}, {"task_type": "other"}),
        ]:
            assert await set_pause(client, keys, target, True, by="ana") is True
            await anext(seen)
            assert follower.paused(**hit) == target
            assert missed is None or follower.paused(**missed) is None
            assert (await switches(client, keys))[target].by == "ana"
            assert await set_pause(client, keys, target, False, by="ben") is True
            await anext(seen)
            assert follower.paused(pool="p", tenant="acme", task_type="refund") is None


async def test_the_first_pause_keeps_its_name_until_it_is_lifted(client: Redis, keys: FleetKeys) -> None:
    assert await set_pause(client, keys, "pool/p", True, by='ana "the \\ careful" ü') is True
    assert await set_pause(client, keys, "pool/p", True, by="ben") is False
    (switch,) = (await switches(client, keys)).values()
    assert switch.by == 'ana "the \\ careful" ü'
    seconds, _ = await client.time()
    assert abs(switch.at_ms / 1000 - seconds) < 60
    assert await set_pause(client, keys, "pool/p", False, by="ben") is True
    assert await set_pause(client, keys, "pool/p", False, by="ben") is False


async def test_a_pause_that_somebody_set_by_hand_in_redis_counts(client: Redis, keys: FleetKeys) -> None:
    await client.hset(keys.switches, "pool/p", b"stop it!")
    async with ConfigFollower(client, keys) as follower:
        assert follower.paused(pool="p") == "pool/p"


async def test_what_redis_refuses_to_read_pauses_everything_until_it_is_mended(
    client: Redis, keys: FleetKeys, caplog: pytest.LogCaptureFixture
) -> None:
    async with ConfigFollower(client, keys, check_seconds=0.02, silence_seconds=0.3) as follower:
        await client.set(keys.switches, "no hash")
        async with asyncio.timeout(5):
            await until(lambda: follower.paused() == UNKNOWN)
            await client.delete(keys.switches)
            await until(lambda: follower.paused() is None)
    assert "WRONGTYPE" in caplog.text


async def test_a_pause_in_the_manifest_counts_like_a_switch(client: Redis, keys: FleetKeys) -> None:
    await publish(client, keys, config(keys, paused=True), 1)
    async with ConfigFollower(client, keys) as follower:
        assert follower.paused(pool="p") == "pool/p"
        assert follower.paused(tenant="acme") is None


@pytest.mark.parametrize("target", ["", "pool", "pool/", "worker/x", "fleet/x"])
async def test_an_unknown_target_is_refused(client: Redis, keys: FleetKeys, target: str) -> None:
    with pytest.raises(InvalidInput, match="write fleet, pool/NAME"):
        await set_pause(client, keys, target, True, by="ana")


async def test_silence_counts_as_paused_until_redis_is_heard_again(keys: FleetKeys) -> None:
    with redis_server(append_only=False) as server:
        client = connect(server.url, command_seconds=0.5, retries=0)
        async with ConfigFollower(client, keys, check_seconds=0.02, silence_seconds=0.3) as follower:
            assert follower.paused(pool="p") is None
            await client.client_pause(700)
            async with asyncio.timeout(5):
                await until(lambda: follower.paused(pool="p") is not None)
                assert follower.paused(pool="p") == UNKNOWN
                await until(lambda: follower.paused(pool="p") is None)
        await client.aclose()


async def test_what_a_follower_knows_is_as_old_as_its_question(client: Redis, keys: FleetKeys) -> None:
    now = 100.0

    def answer_late(reply: list[bytes], **_: object) -> tuple[int, int]:
        nonlocal now
        now += 0.9
        return int(reply[0]), int(reply[1])

    client.set_response_callback("TIME", answer_late)
    async with ConfigFollower(client, keys, check_seconds=60, monotonic=lambda: now) as follower:
        assert follower.fresh, "0.9 s after it asked"
        now += 0.2
        assert not follower.fresh, "1.1 s after it asked, 0.2 s after it was answered"


async def test_a_follower_lives_through_a_redis_that_lost_everything(keys: FleetKeys) -> None:
    with redis_server(append_only=False) as first:
        client = connect(first.url, command_seconds=0.5, retries=0)
        follower = ConfigFollower(client, keys, check_seconds=0.02, silence_seconds=0.5)
        await publish(client, keys, config(keys, 4), 3)
        await follower.start()
    async with asyncio.timeout(20):
        await until(lambda: not follower.fresh)
        assert follower.config.pools["p"].spec.concurrency == 4
        with redis_server(append_only=False, port=first.port):
            await until(lambda: follower.fresh)
            assert follower.config.pools["p"].spec.concurrency == 4
            seen = follower.changes()
            await anext(seen)
            assert await publish(client, keys, config(keys, 7), 3) == 1
            assert (await anext(seen)).pools["p"].spec.concurrency == 7
            await follower.close()
    await client.aclose()


async def test_changes_end_when_the_follower_is_closed(client: Redis, keys: FleetKeys) -> None:
    follower = ConfigFollower(client, keys)
    await follower.start()
    seen = follower.changes()
    await anext(seen)
    waiting = asyncio.ensure_future(anext(seen, None))
    await asyncio.sleep(0)
    await follower.close()
    async with asyncio.timeout(5):
        assert await waiting is None


async def test_without_redis_nothing_starts_and_the_error_says_so(keys: FleetKeys) -> None:
    client = connect("redis://127.0.0.1:1/0", retries=0)
    with pytest.raises(Unavailable):
        await ConfigFollower(client, keys).start()
    with pytest.raises(Unavailable):
        await publish(client, keys, config(keys), 1)
    await client.aclose()


async def test_followers_hear_at_once_of_each_model_that_takes_no_calls(
    client: Redis, keys: FleetKeys
) -> None:
    """A follower reads twice without being told: when it begins, and when its subscription stands."""
    async with ConfigFollower(client, keys, check_seconds=60, monotonic=lambda: 0.0) as follower:
        async with asyncio.timeout(20):
            for number, model in enumerate(("haiku/5", "sonnet", "opus"), 1):
                await throttle(client, keys, "fast", model, 30)
                await until(lambda many=number: len(follower.throttles) == many)
        assert follower.throttles.keys() == {("fast", "haiku/5"), ("fast", "sonnet"), ("fast", "opus")}
        assert 29 < follower.throttles["fast", "opus"] <= 30


async def test_the_longest_wait_that_was_asked_for_holds_and_then_ends(
    client: Redis, keys: FleetKeys
) -> None:
    for seconds in (30, 10, 0.2):
        await throttle(client, keys, "fast", "haiku", seconds)
    await throttle(client, keys, "fast", "sonnet", 0.001)
    assert 29_000 < await client.pttl(keys.throttles) <= 30_000
    await until_over(client, keys)
    async with ConfigFollower(client, keys, monotonic=lambda: 0.0) as follower:
        [(name, seconds)] = follower.throttles.items()
        assert name == ("fast", "haiku")
        assert 10 < seconds <= 30


async def test_a_longer_wait_that_is_told_later_outlives_the_first(client: Redis, keys: FleetKeys) -> None:
    await throttle(client, keys, "fast", "haiku", 1)
    await throttle(client, keys, "fast", "sonnet", 30)
    assert 29_000 < await client.pttl(keys.throttles) <= 30_000


async def until_over(client: Redis, keys: FleetKeys) -> None:
    """Of the shortest: Redis's own clock has passed it."""
    stored = await client.hgetall(keys.throttles)  # type: ignore[misc]  # the stubs name both clients
    ends_ms = min(map(int, stored.values()))
    while await redis_ms(client) <= ends_ms:  # noqa: ASYNC110 - see `until`
        await asyncio.sleep(0.01)


async def redis_ms(client: Redis) -> int:
    seconds, microseconds = await client.time()
    return int(seconds) * 1_000 + int(microseconds) // 1_000


async def test_each_process_tells_whether_redis_answers_it(redis: RedisServer, fleet_id: FleetId) -> None:
    def is_up() -> float | None:
        return REGISTRY.get_sample_value("agentfleet_redis_up")

    for url, up in ((redis.url, 1), (f"redis://127.0.0.1:{free_port()}/0", 0), (redis.url, 1)):
        store = connect(url)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(store.aclose)
            with contextlib.nullcontext() if up else pytest.raises(Unavailable):
                await stack.enter_async_context(ConfigFollower(store, FleetKeys(fleet_id)))
            assert is_up() == up
