"""One paid call from its route to its answer: bound, hold, send; and `degrade` on whatever stands in the way.

What is waited for, tried again, taken to another model or parked is decided there and carried out here. This
is the only place of a call that raises `AttemptStopped`.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import orjson

from agentfleet_core.budget.limits import Hold, Refused
from agentfleet_core.budget.windows import limits_digest
from agentfleet_core.errors import CostUnknown, InvalidInput, Unavailable
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_core.resilience.backoff import backoff_seconds
from agentfleet_core.resilience.verdict import Retry
from agentfleet_core.routing.degrade import (
    Again,
    Case,
    CountTokens,
    Fail,
    KeyMissing,
    Obstacle,
    Park,
    Throttled,
    Unhealthy,
    degrade,
)
from agentfleet_core.routing.router import Route
from agentfleet_worker.attempt.outcomes import AttemptStopped, Ending, fail, park
from agentfleet_worker.calls.call import Bounded, Call, Headers, PaidCall, Payer, Target
from agentfleet_worker.calls.counts import Counts
from agentfleet_worker.calls.health import Health
from agentfleet_worker.calls.money import CallMoney
from agentfleet_worker.calls.routes import Routes
from agentfleet_worker.calls.tries import Broken, HeldBack, MeteredTry, Tries


@dataclass(frozen=True, slots=True)
class Asked:
    """What a library sent for a task."""

    payer: Payer
    call: Call
    request: Mapping[str, Any]
    headers: Headers
    own: bool
    """By our own code, under a name; else by the handler's use of a client."""


class CallLoop:
    def __init__(
        self, routes: Routes, money: CallMoney, health: Health, counts: Counts, tries: Tries
    ) -> None:
        self._routes = routes
        self._money = money
        self._health = health
        self._counts = counts
        self._tries = tries

    def begin(self, asked: Asked) -> PaidCall:
        """Routed and bounded. A call that must not be made raises `AttemptStopped`, a client's
        `InvalidInput`.
        """
        try:
            return self._begun(asked)
        except InvalidInput as error:
            if not asked.own:
                raise
            raise AttemptStopped(_refused(asked.call, error)) from error

    async def open(self, paid: PaidCall) -> MeteredTry | httpx2.Response:
        """A try whose answer has begun, or the provider's refusal.

        Raises `AttemptStopped` where the task must wait, `TransportError` for what the SDK takes for a lost
        call, `Unavailable` without Redis.
        """
        while True:
            paid.tries += 1
            try:
                # Before the hold, since the key may be missing.
                headers = self._routes.headers(paid.target, paid.headers)
            except Unavailable as error:
                await self._around(paid, KeyMissing(str(error)))
                continue
            held = await self._money.hold(paid)
            if not isinstance(held, Hold):
                await self._around(paid, _soonest(paid, held))
                continue
            if paid.bounded.counted and not self._counts.trusts(paid.target):
                # Proved wrong while this call waited for its room.
                await self._money.settle(held, 0)
                paid.bounded = self._bounded(paid.bounded.request, paid.target, paid.payer.running.now_ms())
                continue
            try:
                answer = await self._tries.send(paid, headers, held)
            except HeldBack:
                continue  # a hold of its own, which waits for the pause's end or parks the task
            if isinstance(answer, MeteredTry):
                return answer
            refusal = await self.after(paid, answer)
            if refusal is not None:
                return refusal

    async def after(self, paid: PaidCall, broken: Broken) -> httpx2.Response | None:
        """None: it may be opened again, its time waited out. Else the provider's refusal, or raised as
        `open` does.
        """
        verdict = paid.target.provider.verdict(broken.status, broken.kind, should_retry=broken.should_retry)
        if isinstance(verdict, Retry) and await self._around(paid, self._failed(paid, broken, verdict)):
            return None
        if broken.response is not None:
            return broken.response
        if not isinstance(verdict, Retry):
            status, body = paid.target.provider.as_refusal(broken.kind, broken.message)
            return httpx2.Response(status, headers={"content-type": "application/json"}, content=body)
        raise _lost(broken) from broken.error

    def _begun(self, asked: Asked) -> PaidCall:
        payer, attempt = asked.payer, asked.payer.running
        wanted = asked.call.tier if asked.own else asked.request.get("model")
        target = self._routes.find(payer, wanted)
        others = {model.name for model in target.tier.models if wanted == target.route.model}
        return PaidCall(
            payer=payer,
            call=asked.call,
            headers=asked.headers,
            until=min(attempt.deadline, time.monotonic() + attempt.spec.timeouts.step_seconds),
            started_ms=attempt.now_ms(),
            bounded=self._bounded(asked.request, target, attempt.now_ms()),
            first=target.route,
            given_up=others,  # who names a model gets this one
        )

    def _bounded(
        self, request: Mapping[str, Any], target: Target, now_ms: int, *, another: bool = False
    ) -> Bounded:
        """`another`: than the model whose turns the request holds. Raises `CostUnknown`."""
        rates = self._routes.rates(target, now_ms)
        addressed = target.provider.addressed(request, target.route.model, another=another)
        payload = orjson.dumps(addressed)
        return Bounded(target, payload, rates, target.provider.worst_cost(addressed, payload, rates))

    def _failed(self, paid: PaidCall, broken: Broken, verdict: Retry) -> Unhealthy:
        paid.failures += 1
        seconds = backoff_seconds(
            paid.failures, random=random.random(), retry_after_seconds=broken.retry_after_seconds
        )
        if verdict.slows_fleet:
            self._health.pause(paid.tier, paid.model, seconds, asked_seconds=broken.retry_after_seconds)
        return Unhealthy(paid.failures, seconds, in_time=time.monotonic() + seconds < paid.until)

    async def _around(self, paid: PaidCall, obstacle: Obstacle) -> bool:
        """Carries out what `degrade` says. False: there is no way around."""
        while True:
            match degrade(self._case(paid, obstacle)):
                case Again(route, seconds):
                    if route.model != paid.model and not self._take(paid, route):
                        continue
                    await asyncio.sleep(seconds)
                    return True
                case CountTokens():
                    await self._count(paid)
                    return True
                case Park() as told:
                    raise AttemptStopped(_parked(told, paid))
                case Fail():
                    return False

    def _case(self, paid: PaidCall, obstacle: Obstacle) -> Case:
        target = paid.target
        countable = (
            isinstance(obstacle, Refused)
            and not paid.was_counted
            and self._counts.may_ask(target)
            and target.provider.count(paid.bounded.request) is not None
        )
        return Case(
            obstacle=obstacle,
            route=target.route,
            tier=target.tier,
            tenant=paid.payer.tenant,
            budget=paid.budget,
            now_ms=paid.payer.running.now_ms(),
            countable=countable,
            given_up=frozenset(paid.given_up),
        )

    def _take(self, paid: PaidCall, route: Route) -> bool:
        """False: that model has no price, so it is none to fall back on."""
        try:
            target = replace(paid.target, route=route)
            bounded = self._bounded(paid.bounded.request, target, paid.payer.running.now_ms(), another=True)
        except CostUnknown:
            paid.given_up.add(route.model)
            return False
        paid.given_up.add(paid.model)
        paid.bounded, paid.failures, paid.was_counted = bounded, 0, False
        return True

    async def _count(self, paid: PaidCall) -> None:
        """A count that cannot be had changes nothing: the local bound stands."""
        paid.was_counted = True
        counted = await self._counts.ask(paid, self._routes.headers(paid.target, paid.headers))
        if counted is not None:
            bounded = paid.bounded
            amount = bounded.target.provider.worst_cost(
                bounded.request, bounded.payload, bounded.rates, counted
            )
            paid.bounded = replace(bounded, amount=amount, counted=True)


def _soonest(paid: PaidCall, obstacle: Obstacle) -> Obstacle:
    """Of several throttled models the first to be free counts."""
    if not isinstance(obstacle, Throttled):
        return obstacle
    paid.free_in[paid.model] = obstacle.seconds
    return Throttled(min(paid.free_in.values()))


def _parked(told: Park, paid: PaidCall) -> Ending:
    return park(
        told.reason,
        told.detail,
        not_before_ms=told.not_before_ms,
        block_tenant=told.block_tenant,
        limit=told.limit,
        limits_digest=limits_digest(paid.budget) if told.limit and paid.budget else "",
    )


def _refused(call: Call, error: InvalidInput) -> Ending:
    unknown = isinstance(error, CostUnknown)
    reason = AttemptReason.COST_UNKNOWN if unknown else AttemptReason.PROVIDER_REFUSED
    return fail(reason, f"step {call.name}: {error}", error)


def _lost(broken: Broken) -> httpx2.TransportError:
    error = broken.error or httpx2.ReadError(f"{broken.kind}: {broken.message}")
    return error if isinstance(error, httpx2.TransportError) else httpx2.ReadError(str(error))
