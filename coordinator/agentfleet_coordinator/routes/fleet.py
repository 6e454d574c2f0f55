"""/v1/fleet and /v1/pools: what runs, what waits, what is spent, and why; for admin keys."""

from typing import Any

import orjson
from fastapi import Request, Response

from agentfleet_coordinator import fleet_view, schemas
from agentfleet_coordinator.direct import direct, direct_router, reply
from agentfleet_coordinator.routes.caller import admin_caller
from agentfleet_coordinator.services import Services
from agentfleet_coordinator.why import behind_cap, tenant_capped, wrapped
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.errors import NotFound
from agentfleet_core.keyspace.connect import reaching_redis, redis_time
from agentfleet_core.queue.observe import read_counters
from agentfleet_core.queue.task_view import Json
from agentfleet_core.suggest import choices

router = direct_router("fleet")


@direct(router, "GET", "/v1/fleet", problems=(403,), answers={200: (schemas.Fleet, "The fleet now.")})
async def get_fleet(request: Request) -> Response:
    """See the whole fleet.

    Pools with their counters and newest plan, tenants with their balances, switches, recent scale events.
    """
    services, _ = admin_caller(request)
    config = services.follower.config
    now = await redis_time(services.redis)
    names = sorted(config.pools)
    counters = dict(zip(names, await read_counters(services.redis, services.fleet, names), strict=True))
    windows = {tenant: all_windows(compiled.spec, now) for tenant, compiled in config.tenants.items()}
    seen = fleet_view.Seen(
        config=config,
        now=now,
        counters=counters,
        plans=await _plans(services),
        balances=await services.ledger.all_balances(windows),
        pauses=services.follower.pauses,
    )
    return reply(fleet_view.fleet(seen))


@direct(
    router,
    "GET",
    "/v1/pools/{pool}/why",
    problems=(403, 404),
    answers={200: (schemas.PoolWhy, "The newest plan: the chain of numbers, each with its reason.")},
)
async def explain_pool(request: Request) -> Response:
    """Why a pool has the size it has."""
    services, _ = admin_caller(request)
    pool = request.path_params["pool"]
    if pool not in services.follower.config.pools:
        raise NotFound("pool", pool, choices(pool, services.follower.config.pools))
    found = await services.plan_of(pool)
    paused = services.follower.paused(pool=pool)
    if found is None:
        text = f"{pool} has no plan yet: the autoscaler has not looked at it; is the operator running?"
        return reply({"pool": pool, "paused": paused, "text": text})
    if paused:
        found["text"] += f"\n  paused: {paused}; no task starts until it is resumed"
    capped = await _behind_caps(services, pool)
    for sentence in capped:
        found["text"] += "\n" + "\n".join(wrapped("  behind a cap: ", sentence))
    return reply(found | {"paused": paused, "behind_caps": capped})


async def _behind_caps(services: Services, pool: str) -> list[str]:
    """A sentence for each tenant that more workers would not help."""
    config, sentences = services.follower.config, []
    for tenant, (waiting, running) in (await services.queues.pool(pool).waiting_tenants()).items():
        if capped := tenant_capped(config, pool, tenant, running):
            waits = await services.ledger.waits(tenant)
            sentences.append(behind_cap(pool, waiting, running, capped, waits))
    return sentences


async def _plans(services: Services) -> dict[str, Json]:
    with reaching_redis():
        found: Any = await services.redis.hgetall(services.keys.plans)
    return {name.decode(): orjson.loads(plan) for name, plan in found.items()}
