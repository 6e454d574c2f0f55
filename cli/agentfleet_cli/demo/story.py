"""The demo from start to end: fleet up, customers in, work watched, back to zero, summed up."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from agentfleet.async_client import AsyncClient, AsyncTask
from agentfleet.models import Step
from agentfleet_cli.demo.customers import Customers, load
from agentfleet_cli.local.announce import announced
from agentfleet_cli.local.fleet import LocalFleet, LocalOptions
from agentfleet_cli.views.fleet import Json
from agentfleet_cli.views.report import Sitting
from agentfleet_cli.views.tasks import usd
from agentfleet_core.budget.money import nano_usd
from agentfleet_core.budget.prices import price_of
from agentfleet_core.budget.usage import Report, Usage
from agentfleet_core.errors import DeadlineExceeded, Unavailable
from agentfleet_core.providers.registry import PROVIDERS

LOOK_SECONDS: Final = 0.25
LIMIT_SECONDS: Final = 80.0
"""What is not done by then is reported, not waited for."""
SOON_SECONDS: Final = 30.0
"""A parked task that is due sooner is waited for: a retry, not a spent budget."""

Show = Callable[[Json, datetime, str], None]
"""Called with each look at the fleet, the story's beginning, and what is being waited for."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The running fleet and those who talk to it."""

    fleet: LocalFleet
    admin: AsyncClient
    customers: Customers
    since: datetime


async def play(options: LocalOptions, requests: Path, show: Show, say: Callable[[str], None]) -> Sitting:
    """Raises `Unavailable` when a part of the fleet broke."""
    async with _stage(options, requests, say) as stage:
        sending = asyncio.create_task(stage.customers.send())
        broken = asyncio.create_task(stage.fleet.failed())
        try:
            last, note = await _watch(stage, sending, broken, show)
            return await _sum_up(stage, last, note)
        finally:
            for task in (sending, broken):
                task.cancel()
            await asyncio.gather(sending, broken, return_exceptions=True)


@asynccontextmanager
async def _stage(options: LocalOptions, requests: Path, say: Callable[[str], None]) -> AsyncIterator[Stage]:
    lines = load(requests)
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(LocalFleet(options, say))
        stack.enter_context(announced(fleet, unless_another=True))
        admin = await stack.enter_async_context(AsyncClient(fleet.url, fleet.admin_key))
        clients = {
            tenant: await stack.enter_async_context(AsyncClient(fleet.url, key))
            for tenant, key in fleet.tenant_keys.items()
        }
        yield Stage(fleet, admin, Customers(lines, clients), datetime.now(UTC))


async def _watch(
    stage: Stage, sending: "asyncio.Task[None]", broken: "asyncio.Task[str]", show: Show
) -> tuple[Json, str]:
    """Look until nothing is left to wait for. The last look, and what was not waited for."""
    loop = asyncio.get_running_loop()
    end = loop.time() + LIMIT_SECONDS
    while True:
        if broken.done():
            raise Unavailable(broken.result())
        if sending.done():
            sending.result()
        look = await stage.admin.fleet()
        waiting_for = _waiting_for(look, stage)
        show(look, stage.since, waiting_for)
        if not waiting_for:
            return look, ""
        if loop.time() > end:
            return look, f"not waited for any longer: {waiting_for}"
        await asyncio.sleep(LOOK_SECONDS)


def _waiting_for(look: Json, stage: Stage) -> str:
    """What the story still waits for, empty when for nothing."""
    if not stage.customers.done:
        return f"customers: {len(stage.customers.sent)} of {len(stage.customers.lines)} requests are in"
    now = datetime.fromisoformat(look["at"])
    work = sum(_open_work(pool["counters"], now) for pool in look["pools"])
    if work:
        return f"{work} tasks to end"
    workers = sum(max(pool["workers"], (pool["plan"] or {}).get("replicas", 0)) for pool in look["pools"])
    return f"{workers} idle workers to go" if workers else ""


def _open_work(counters: Mapping[str, Any], now: datetime) -> int:
    work = int(counters["waiting"] + counters["running"])
    due = counters["next_due_at"]
    if due and (datetime.fromisoformat(due) - now).total_seconds() < SOON_SECONDS:
        work += int(counters["parked"] - counters["blocked"])
    return work


async def _sum_up(stage: Stage, look: Json, note: str) -> Sitting:
    tasks: list[AsyncTask] = []
    tiers: Counter[str] = Counter()
    served = stage.fleet.config.tiers
    rounds: dict[str, list[Usage]] = {tier: [] for tier in served}
    for tenant, task_id in stage.customers.sent:
        client = stage.customers.clients[tenant]
        tasks.append(await client.get(task_id))
        for step in await _steps(client, task_id):
            if step.tier:
                tiers[step.tier] += nano_usd(usd(step.cost))
            if step.tier in served and step.usage:
                provider = PROVIDERS[served[step.tier].provider.type]
                rounds[step.tier] += provider.report(step.usage).rounds
    return Sitting(
        tasks=tasks,
        cost_by_tier=dict(tiers),
        usage_by_tier={tier: Report(tuple(found)).total for tier, found in rounds.items()},
        price_by_tier={tier: price_of(spec.models[0], stage.since) for tier, spec in served.items()},
        fleet=look,
        since=stage.since,
        seconds=(datetime.now(UTC) - stage.since).total_seconds(),
        bill_nano_usd=await _bill(stage.fleet.simulator_url),
        note=note,
    )


async def _steps(client: AsyncClient, task_id: str) -> tuple[Step, ...]:
    """None yet of a task that waits for its tenant's next budget."""
    try:
        return (await client.result(task_id, 0, check=False)).steps
    except DeadlineExceeded:
        return ()


async def _bill(simulator_url: str | None) -> int | None:
    if simulator_url is None:
        return None
    with contextlib.suppress(httpx.TransportError):
        async with httpx.AsyncClient(trust_env=False) as client:
            bill = (await client.get(f"{simulator_url}/sim/bill")).json()
            return int(bill["nano_usd"])
    return None
