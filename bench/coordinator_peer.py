"""The peer of bench.coordinator: the submit that one would write first. Same Redis work, nothing coalesced.

FastAPI with a pydantic model, a dependency for the key, and two scripts awaited one after the other: the
idempotency record, then the enqueue.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import jsonschema_rs
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel
from redis.asyncio import Redis

from agentfleet_coordinator.idempotency import note, record_call, recorded
from agentfleet_core.fleet.store import read_config
from agentfleet_core.keyspace.keys import FleetKeys, TenantKeys
from agentfleet_core.queue.calls import PoolCalls
from agentfleet_core.queue.envelope import Envelope
from agentfleet_core.queue.ids import new_task_id
from agentfleet_core.settings import read_settings

settings = read_settings()


class TaskIn(BaseModel):
    type: str
    input: dict[str, Any]


class TaskOut(BaseModel):
    id: str
    type: str
    tenant: str
    state: str
    input: dict[str, Any]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    redis = Redis.from_url(settings.redis_url)
    config = await read_config(redis, FleetKeys(settings.fleet))
    app.state.redis = redis
    app.state.tenants = {
        digest: name for name, tenant in config.tenants.items() for digest in tenant.key_hashes
    }
    app.state.validators = {
        name: jsonschema_rs.validator_for(spec.input_schema) for name, spec in config.task_types.items()
    }
    yield
    await redis.aclose()


app = FastAPI(lifespan=lifespan)


async def tenant_of(request: Request, authorization: Annotated[str, Header()]) -> str:
    digest = hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest()
    tenant = request.app.state.tenants.get(digest)
    if tenant is None:
        raise HTTPException(401)
    return str(tenant)


@app.post("/v1/tasks", status_code=201)
async def submit(
    request: Request,
    task: TaskIn,
    tenant: Annotated[str, Depends(tenant_of)],
    idempotency_key: Annotated[str | None, Header()] = None,
) -> TaskOut:
    validator = request.app.state.validators.get(task.type)
    if validator is None or not validator.is_valid(task.input):
        raise HTTPException(422)
    redis: Redis = request.app.state.redis
    noted = note(new_task_id("interactive"), idempotency_key, task.model_dump())
    call = record_call(TenantKeys(settings.fleet, tenant), [noted])
    reply = await redis.evalsha(
        *await _loaded(redis, call.script.source), len(call.keys), *call.keys, *call.args
    )
    (answer,) = recorded([noted], reply)
    if answer.conflict:
        raise HTTPException(409)
    envelope = Envelope(
        id=answer.task_id, tenant=tenant, type=task.type, priority=50, revision="r1", tier="fast",
        tier_reason="TierDefault", input=json.dumps(task.input).encode(),
    )  # fmt: skip
    call = PoolCalls(settings.fleet, "interactive").submit([envelope])
    await redis.evalsha(*await _loaded(redis, call.script.source), len(call.keys), *call.keys, *call.args)
    return TaskOut(id=envelope.id, type=task.type, tenant=tenant, state="queued", input=task.input)


_shas: dict[str, str] = {}


async def _loaded(redis: Redis, source: str) -> tuple[str]:
    if source not in _shas:
        _shas[source] = await redis.script_load(source)
    return (_shas[source],)


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=settings.port, loop="uvloop", http="httptools", access_log=False,
        log_level="warning",
    )  # fmt: skip
