"""Keeps the statuses of all objects of one fleet, and tells events when they change.

Nothing unchanged is written, and numbers at most once in ten seconds an object; a status that could not be
written is tried again.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from agentfleet_core.budget.ledger import RedisLedger
from agentfleet_core.budget.limits import Balance, LimitWindow
from agentfleet_core.budget.money import NANO_PER_USD
from agentfleet_core.budget.windows import all_windows
from agentfleet_core.errors import AgentfleetError, InvalidInput, NotFound, Unavailable
from agentfleet_core.fleet.compile import Compiled, Verdict
from agentfleet_core.fleet.config import FleetConfig
from agentfleet_core.fleet.pauses import Pauses
from agentfleet_core.fleet.store import ConfigFollower
from agentfleet_core.telemetry import metrics
from agentfleet_operator.apply import BACKGROUND_CALLS, Writer
from agentfleet_operator.budget_status import BudgetFacts, budget_status
from agentfleet_operator.events import Events
from agentfleet_operator.news import Subject, condition_news, scale_news
from agentfleet_operator.observe import contested
from agentfleet_operator.pools.actuator import Pools
from agentfleet_operator.state import FleetState
from agentfleet_operator.status import (
    WRITE_SECONDS,
    PoolFacts,
    Status,
    due_seconds,
    merge_patch,
    plain_status,
    pool_status,
)
from agentfleet_operator.views import ResourceView

log = logging.getLogger(__name__)

COALESCE_SECONDS = 0.02
BALANCES_SECONDS = 5.0
RETRY_SECONDS = 2.0

Key = tuple[str, str]
"""Kind and name."""
BlockedTasks = Callable[[Sequence[str]], Awaitable[Counter[str]]]
"""Of these pools: tenant to its tasks that no budget admits. Raises `Unavailable`."""


class Statuses:
    def __init__(
        self,
        state: FleetState,
        writer: Writer,
        events: Events,
        pools: Pools,
        ledger: RedisLedger,
        blocked_tasks: BlockedTasks,
        follower: ConfigFollower,
    ) -> None:
        self._state = state
        self._writer = writer
        self._events = events
        self._pools = pools
        self._ledger = ledger
        self._blocked_tasks = blocked_tasks
        self._follower = follower
        self._config: FleetConfig | None = None
        self._verdicts: dict[Key, Verdict] = {}
        self._balances: dict[str, list[Balance]] | None = None
        self._measured: set[tuple[str, str]] = set()
        """Tenant and limit of the budgets' gauges."""
        self._blocked: Counter[str] = Counter()
        self._marked: set[Key] = set()
        self._due: dict[Key, float] = {}
        self._written: dict[Key, tuple[float, Status]] = {}
        self._bell = asyncio.Event()
        self._judged = asyncio.Event()

    def mark(self, kind: str, name: str) -> None:
        """Something that this object's status tells may have changed."""
        self._marked.add((kind, name))
        self._bell.set()

    def judge(self, compiled: Compiled) -> None:
        self._config = compiled.config
        self._verdicts = {(one.kind, one.name): one for one in compiled.conditions}
        for kind, name in self._state.resources:
            self.mark(kind, name)
        self._judged.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write_marked())
            tasks.create_task(self._read_balances())

    async def _write_marked(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_to_next()):
                    await self._bell.wait()
            await asyncio.sleep(COALESCE_SECONDS)
            self._bell.clear()
            now = time.monotonic()
            ready = self._marked | {key for key, due in self._due.items() if due <= now}
            self._marked = set()
            limit = asyncio.Semaphore(BACKGROUND_CALLS)
            await asyncio.gather(*(self._look_safely(key, limit) for key in ready))

    def _seconds_to_next(self) -> float | None:
        if not self._due:
            return None
        return max(0.0, min(self._due.values()) - time.monotonic())

    async def _look_safely(self, key: Key, limit: asyncio.Semaphore) -> None:
        try:
            await self._look(key, limit)
        except Exception:
            # The edge of one object: whatever is odd about it must not stop the others' statuses.
            log.exception("a status could not be made", extra={"kind": key[0], "object": key[1]})

    async def _look(self, key: Key, limit: asyncio.Semaphore) -> None:
        view = self._state.resources.get(key)
        self._due.pop(key, None)
        if view is None:
            self._written.pop(key, None)
            return
        if key not in self._verdicts and not view.problem:
            return
        after, now = self._status(view), time.monotonic()
        last, sent = self._written.get(key, (now - WRITE_SECONDS, None))
        wait = None if after == sent else due_seconds(view.status, after, now - last)
        if wait is None:
            return
        if wait > 0:
            self._due[key] = now + wait
            return
        async with limit:
            await self._write(key, view, after)

    async def _write(self, key: Key, view: ResourceView, after: Status) -> None:
        try:
            await self._writer.status(view, merge_patch(view.status, after))
        except NotFound:
            return
        except InvalidInput as error:
            log.error("a status is refused: %s", error, extra={"kind": view.kind, "object": view.name})
        except AgentfleetError as error:
            log.warning("a status was not written: %s", error, extra={"kind": view.kind, "object": view.name})
            self._due[key] = time.monotonic() + RETRY_SECONDS
            return
        self._written[key] = (time.monotonic(), after)
        subject = Subject(view.kind, view.namespace, view.name, view.uid)
        for news in condition_news(subject, view.status, after):
            self._events.tell(news)
        if view.kind == "AgentPool":
            self._tell_scale(subject, view, after)

    def _tell_scale(self, subject: Subject, view: ResourceView, after: Status) -> None:
        plan = self._pools.memory(view.name).plan
        if plan is not None:
            news = scale_news(subject, view.status, after, plan)
            if news is not None:
                self._events.tell(news)

    def _status(self, view: ResourceView) -> Status:
        now, verdict = datetime.now(UTC), self._verdicts.get((view.kind, view.name))
        if view.kind == "AgentPool":
            return pool_status(self._pool_facts(view, verdict, now), view.status)
        if view.kind == "TenantBudget":
            return budget_status(self._budget_facts(view, verdict, now), view.status)
        return plain_status(view.generation, verdict, view.problem, view.status, now)

    def _pool_facts(self, view: ResourceView, verdict: Verdict | None, now: datetime) -> PoolFacts:
        memory = self._pools.memory(view.name)
        compiled = self._config.pools.get(view.name) if self._config else None
        live = self._state.deployments.get(view.name, {}).values()
        others = sorted({one.replicas_manager for one in live if contested(one, now)})
        return PoolFacts(
            generation=view.generation,
            spec=getattr(view.resource, "spec", None),
            name=view.name,
            verdict=verdict,
            problem=view.problem,
            revision=compiled.revision if compiled else "",
            seen=self._pools.observe(view.name),
            snapshot=memory.snapshot,
            plan=memory.plan,
            refused=memory.refused,
            deleting=view.deleting_since is not None,
            draining=memory.draining,
            contested_by=", ".join(others),
            pause=self._pauses.find(pool=view.name),
            now=now,
        )

    def _budget_facts(self, view: ResourceView, verdict: Verdict | None, now: datetime) -> BudgetFacts:
        spec = getattr(view.resource, "spec", None)
        tenant = spec.tenant if spec is not None else ""
        ours = verdict is not None and verdict.in_use
        return BudgetFacts(
            generation=view.generation,
            spec=spec,
            verdict=verdict,
            problem=view.problem,
            balances=self._balances.get(tenant, []) if self._balances is not None and ours else None,
            waiting=self._blocked[tenant],
            pause=self._pauses.find(tenant=tenant) if tenant else None,
            now=now,
        )

    @property
    def _pauses(self) -> Pauses:
        """By the newest manifests, which the followed config may not have caught up with yet."""
        return Pauses(self._config or self._follower.config, self._follower.switches)

    async def _read_balances(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BALANCES_SECONDS):
                    await self._judged.wait()
            self._judged.clear()
            if self._config is None:
                continue
            before = self._balances
            try:
                self._balances = await self._ledger.all_balances(self._windows(self._config))
                self._blocked = await self._blocked_tasks(list(self._config.pools))
            except (Unavailable, InvalidInput) as error:
                log.warning("the ledger cannot be read: %s", error)
                self._balances = None
            for view in self._state.of_kind("TenantBudget"):
                self.mark(view.kind, view.name)
            if self._balances is not None and self._balances != before:
                self._measure(self._balances)

    def _windows(self, config: FleetConfig) -> dict[str, tuple[LimitWindow, ...]]:
        now = datetime.now(UTC)
        return {tenant: all_windows(one.spec, now) for tenant, one in config.tenants.items()}

    def _measure(self, balances: dict[str, list[Balance]]) -> None:
        """A limit that is gone leaves no gauge behind."""
        measured = set()
        for tenant, found in balances.items():
            for one in found:
                labels = (metrics.TENANTS.of(tenant), one.limit.name)
                metrics.BUDGET_SPENT_USD.labels(*labels).set(one.spent / NANO_PER_USD)
                metrics.BUDGET_HELD_USD.labels(*labels).set(one.held / NANO_PER_USD)
                metrics.BUDGET_LIMIT_USD.labels(*labels).set(one.limit.amount / NANO_PER_USD)
                measured.add(labels)
        for gone in self._measured - measured:
            for gauge in (metrics.BUDGET_SPENT_USD, metrics.BUDGET_HELD_USD, metrics.BUDGET_LIMIT_USD):
                gauge.remove(*gone)
        self._measured = measured
