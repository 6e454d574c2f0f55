"""PURE. The fleet as `watch` and the API show it, from what was read at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agentfleet_coordinator import views
from agentfleet_core.api.v1alpha1.model_tier import Model
from agentfleet_core.budget.limits import Balance
from agentfleet_core.budget.prices import price_of
from agentfleet_core.budget.standing import resets_at, standing
from agentfleet_core.errors import CostUnknown
from agentfleet_core.fleet.config import CompiledTenant, FleetConfig
from agentfleet_core.fleet.pauses import Pauses
from agentfleet_core.queue.envelope import PoolCounters
from agentfleet_core.queue.task_view import Json, instant, money

EVENTS = 50


@dataclass(frozen=True, slots=True)
class Seen:
    config: FleetConfig
    now: datetime
    counters: Mapping[str, PoolCounters]
    plans: Mapping[str, Json]
    """Pool to what the autoscaler published."""
    balances: Mapping[str, Sequence[Balance]]
    pauses: Pauses


def fleet(seen: Seen) -> Json:
    config = seen.config
    return {
        "fleet": {"install": config.install, "namespace": config.namespace, "config_version": config.version},
        "at": seen.now.isoformat(timespec="milliseconds"),
        "pools": [_pool(seen, name) for name in sorted(config.pools)],
        "tenants": [_tenant(seen, name, config.tenants[name]) for name in sorted(config.tenants)],
        "tiers": [
            {
                "name": name,
                "rank": tier.rank,
                "models": [model.name for model in tier.models],
                "prices": [_price(model, seen.now) for model in tier.models],
            }
            for name, tier in sorted(config.tiers.items(), key=lambda item: (item[1].rank, item[0]))
        ],
        "switches": [
            {"target": target, "by": switch.by, "at": instant(switch.at_ms)}
            for target, switch in sorted(seen.pauses.switches.items())
        ],
        "events": _events(seen),
    }


def _pool(seen: Seen, name: str) -> Json:
    compiled = seen.config.pools[name]
    plan = seen.plans.get(name)
    known = plan or {}
    return {
        "name": name,
        "lane": compiled.spec.lane.value,
        "deleting": compiled.deleting,
        "paused": seen.pauses.of(pool=name),
        "counters": views.counters(seen.counters[name]),
        "workers": known.get("ready", 0),
        "min_replicas": compiled.spec.scaling.min_replicas,
        "max_replicas": compiled.spec.scaling.max_replicas,
        **money("spend_per_hour", known.get("spend_per_hour_nano_usd", 0)),
        "plan": plan,
    }


def _price(model: Model, now: datetime) -> Json:
    """Today's, in USD per million tokens; the model's name alone where none has begun."""
    try:
        price = price_of(model, now)
    except CostUnknown:
        return {"model": model.name}
    return {"model": model.name, **price.model_dump(exclude_none=True)}


def _tenant(seen: Seen, name: str, tenant: CompiledTenant) -> Json:
    waiting = {
        pool: blocked
        for pool, counters in seen.counters.items()
        if (blocked := counters.blocked_tenants.get(name, 0))
    }
    balances = seen.balances[name]
    pause = seen.pauses.find(tenant=name)
    stands = standing(tenant.spec, balances, waiting=sum(waiting.values()), pause=pause)
    return {
        "tenant": name,
        "budget": tenant.budget,
        "phase": stands.phase.value,
        "reason": stands.reason.value,
        "sentence": stands.sentence,
        "paused": None if pause is None else str(pause.target),
        "tightest": None if stands.limit is None else stands.limit.limit.name,
        "limits": [
            views.balance(balance)
            | {
                "period": limit.period.value,
                "resets": resets_at(limit, balance.limit),
                "time_zone": limit.time_zone,
                "task_type": limit.task_type,
                "tier": limit.tier,
            }
            for balance, limit in zip(balances, tenant.spec.limits, strict=True)
        ],
        "waiting_for_budget": waiting,
    }


def _events(seen: Seen) -> list[Json]:
    """Scale events of all pools, newest first."""
    found = [
        {
            "at": instant(event["at_ms"]),
            "pool": pool,
            "from": event["before"],
            "to": event["after"],
            "reason": event["reason"],
            "text": event["text"],
        }
        for pool, plan in seen.plans.items()
        for event in plan.get("events", ())
    ]
    return sorted(found, key=lambda event: str(event["at"]), reverse=True)[:EVENTS]
