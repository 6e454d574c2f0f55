"""Where a call goes: the tier that a task may use, the model that serves it, its prices, address and key.

Keys are files of one mounted folder, `<secret>/<key>`, read again when they change. They never enter the
config, an environment variable or a log.
"""

import time
from datetime import UTC, datetime
from pathlib import Path

from agentfleet_core.api.v1alpha1 import ModelTierSpec
from agentfleet_core.api.v1alpha1.base import SecretKeyRef
from agentfleet_core.budget.prices import Rates, find_model, rates_of
from agentfleet_core.errors import InvalidInput, Unavailable
from agentfleet_core.routing.router import allowed_tiers, route
from agentfleet_worker.call import Payer, Target
from agentfleet_worker.ports import Follower

DEFAULT_URL = "https://api.anthropic.com"
KEY_CHECK_SECONDS = 1.0


class Routes:
    def __init__(self, follower: Follower, keys: "ProviderKeys") -> None:
        self._follower = follower
        self._keys = keys
        self._rates: dict[tuple[int, str, str, str], Rates] = {}

    def find(self, payer: Payer, wanted: str | None = None) -> Target:
        """`wanted` is a tier, a model of one, or None for the task's own tier. Raises `InvalidInput`."""
        tiers = self._follower.config.tiers
        bounds = payer.running.spec.tier
        asked = wanted or payer.running.claim.envelope.tier
        if wanted is None or wanted in tiers or wanted == payer.running.claim.envelope.tier:
            chosen = route(bounds, tiers, asked=asked)
            return _target(chosen.tier, tiers[chosen.tier], chosen.model)
        allowed = allowed_tiers(bounds, tiers)
        for name in allowed:
            for model in tiers[name].models:
                if model.name == wanted:
                    return _target(name, tiers[name], wanted)
        there = ", ".join(allowed) or "none"
        raise InvalidInput(
            f'"{wanted}" is no tier of this fleet, nor a model that {payer.task_type} may use; '
            f"its tiers are {there}",
            field="model",
        )

    def model_for(self, payer: Payer) -> str:
        return self.find(payer).model

    def rates(self, target: Target, now_ms: int) -> Rates:
        """Raises `CostUnknown`."""
        config = self._follower.config
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        name = (config.version, target.tier, target.model, now.date().isoformat())
        rates = self._rates.get(name)
        if rates is None:
            rates = rates_of(find_model(config.tiers[target.tier], target.model), now)
            if len(self._rates) >= 1_000:
                self._rates.clear()
            self._rates[name] = rates
        return rates

    def key(self, target: Target) -> str | None:
        return None if target.key is None else self._keys.read(target.key)


def _target(name: str, tier: ModelTierSpec, model: str) -> Target:
    return Target(
        name, model, (tier.provider.base_url or DEFAULT_URL).rstrip("/"), tier.provider.api_key_secret_ref
    )


class ProviderKeys:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, str], tuple[float, str]] = {}

    def read(self, ref: SecretKeyRef) -> str:
        """Raises `Unavailable` when the file is not there: a mounted Secret may come later."""
        name = (ref.name, ref.key)
        read_at, value = self._known.get(name, (float("-inf"), ""))
        if time.monotonic() - read_at < KEY_CHECK_SECONDS:
            return value
        path = self._folder / ref.name / ref.key
        try:
            value = path.read_text("utf-8").strip()
        except OSError as error:
            raise Unavailable(
                f"provider key {ref.name}/{ref.key} cannot be read: {error.strerror}; is the Secret mounted?"
            ) from error
        self._known[name] = (time.monotonic(), value)
        return value
