"""Where a call goes: the tier that a task may use, the model that serves it, its provider, prices and key.

Keys are files of one mounted folder, `<secret>/<key>`, read again when they change. They never enter the
config, an environment variable or a log.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from agentfleet_core.api.v1alpha1.base import SecretKeyRef
from agentfleet_core.budget.prices import Rates, find_model, rates_of
from agentfleet_core.errors import InvalidInput, Unavailable
from agentfleet_core.providers.port import Provider
from agentfleet_core.providers.registry import PROVIDERS
from agentfleet_core.routing.reasons import RouteReason
from agentfleet_core.routing.router import Route, allowed_tiers, route
from agentfleet_worker.attempt.ports import Follower
from agentfleet_worker.calls.call import Headers, Payer, Target

KEY_CHECK_SECONDS = 1.0

_NOT_PASSED_ON = frozenset(
    {b"host", b"content-length", b"accept-encoding", b"authorization", b"x-api-key", b"accept", b"connection"}
)


class Routes:
    def __init__(
        self, follower: Follower, keys: "ProviderKeys", providers: Mapping[str, Provider] = PROVIDERS
    ) -> None:
        self._follower = follower
        self._keys = keys
        self._providers = providers
        self._rates: dict[tuple[int, str, str, str], Rates] = {}

    def find(self, payer: Payer, wanted: str | None = None) -> Target:
        """`wanted` is a tier, a model of one, or None for the task's own tier. Raises `InvalidInput`."""
        tiers = self._follower.config.tiers
        bounds = payer.running.spec.tier
        asked = wanted or payer.running.claim.envelope.tier
        if wanted is None or wanted in tiers or wanted == payer.running.claim.envelope.tier:
            return self._target(route(bounds, tiers, asked=asked))
        allowed = allowed_tiers(bounds, tiers)
        for name in allowed:
            for model in tiers[name].models:
                if model.name == wanted:
                    return self._target(Route(name, wanted, RouteReason.TIER_REQUESTED))
        there = ", ".join(allowed) or "none"
        raise InvalidInput(
            f'"{wanted}" is no tier of this fleet, nor a model that {payer.task_type} may use; '
            f"its tiers are {there}",
            field="model",
        )

    def model_for(self, payer: Payer) -> str:
        return self.find(payer).route.model

    def paid_at(self, path: str) -> Provider | None:
        """Whose API has a paid call at this path."""
        return next((each for each in self._providers.values() if each.paid_path == path), None)

    def is_free(self, method: str, path: str) -> bool:
        return any(each.is_free(method, path) for each in self._providers.values())

    def rates(self, target: Target, now_ms: int) -> Rates:
        """Raises `CostUnknown`."""
        config = self._follower.config
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        chosen = target.route
        name = (config.version, chosen.tier, chosen.model, now.date().isoformat())
        rates = self._rates.get(name)
        if rates is None:
            tier = config.tiers.get(chosen.tier, target.tier)
            rates = rates_of(find_model(tier, chosen.model), now)
            if len(self._rates) >= 1_000:
                self._rates.clear()
            self._rates[name] = rates
        return rates

    def _target(self, chosen: Route) -> Target:
        tier = self._follower.config.tiers[chosen.tier]
        provider = self._providers[tier.provider.type]
        url = (tier.provider.base_url or provider.url).rstrip("/")
        return Target(chosen, tier, provider, url, tier.provider.api_key_secret_ref)

    def headers(self, target: Target, callers: Headers) -> Headers:
        """Of a request to the provider: the caller's, without its address, its key and what it accepts.
        Raises `Unavailable` without the tier's key.
        """
        headers = [(name, value) for name, value in callers if name.lower() not in _NOT_PASSED_ON]
        headers += [(b"host", httpx2.URL(target.base_url).netloc), (b"accept-encoding", b"identity")]
        if target.key is not None:
            headers.append(target.provider.key_header(self._keys.read(target.key)))
        return headers


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
