"""What the operator reads from its environment, once, frozen."""

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from agentfleet_core.errors import InvalidInput
from agentfleet_core.settings import Settings, number, read_settings
from agentfleet_operator.election import Timings
from agentfleet_operator.kube import service_account_namespace
from agentfleet_operator.resources import DEFAULT_IMAGE, SecretKey, WorkerDefaults


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """AGENTFLEET_WATCH_NAMESPACES (comma separated; empty: all), _OPERATOR_NAMESPACE, _LEASE_NAME,
    _LEASE_SECONDS, _RENEW_DEADLINE_SECONDS, _RETRY_SECONDS, _WORKER_REDIS_URL, _WORKER_REDIS_URL_SECRET
    (`name/key`), _WORKER_SERVICE_ACCOUNT, _WORKER_IMAGE, _WORKER_IMAGE_PULL_POLICY, beside the common ones.
    """

    common: Settings
    namespaces: tuple[str, ...] = ()
    """Empty: the whole cluster. A namespace is a fleet of its own."""
    lease_namespace: str = "default"
    lease_name: str = "agentfleet-operator"
    timings: Timings = field(default_factory=Timings)
    workers: WorkerDefaults = field(default_factory=lambda: WorkerDefaults(redis_url=""))
    identity: str = field(default_factory=lambda: f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}")


def read_operator_settings(environ: Mapping[str, str] = os.environ) -> OperatorSettings:
    common = read_settings(environ)
    return OperatorSettings(
        common=common,
        namespaces=read_namespaces(environ),
        lease_namespace=environ.get("AGENTFLEET_OPERATOR_NAMESPACE") or service_account_namespace("default"),
        lease_name=environ.get("AGENTFLEET_LEASE_NAME", "agentfleet-operator"),
        timings=_timings(environ),
        workers=WorkerDefaults(
            redis_url=environ.get("AGENTFLEET_WORKER_REDIS_URL", common.redis_url),
            redis_url_secret=_secret_key(environ.get("AGENTFLEET_WORKER_REDIS_URL_SECRET", "")),
            service_account=environ.get("AGENTFLEET_WORKER_SERVICE_ACCOUNT", "default"),
            image=environ.get("AGENTFLEET_WORKER_IMAGE") or DEFAULT_IMAGE,
            image_pull_policy=environ.get("AGENTFLEET_WORKER_IMAGE_PULL_POLICY", ""),
        ),
    )


def read_namespaces(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Those to watch; none for all."""
    names = environ.get("AGENTFLEET_WATCH_NAMESPACES", "").split(",")
    return tuple(sorted({name.strip() for name in names if name.strip()}))


def _timings(environ: Mapping[str, str]) -> Timings:
    default = Timings()
    timings = Timings(
        lease_seconds=number(environ, "AGENTFLEET_LEASE_SECONDS", default.lease_seconds),
        renew_deadline_seconds=number(
            environ, "AGENTFLEET_RENEW_DEADLINE_SECONDS", default.renew_deadline_seconds
        ),
        retry_seconds=number(environ, "AGENTFLEET_RETRY_SECONDS", default.retry_seconds),
    )
    if not 0 < timings.retry_seconds < timings.renew_deadline_seconds < timings.lease_seconds:
        raise InvalidInput(
            "AGENTFLEET_RETRY_SECONDS must be below AGENTFLEET_RENEW_DEADLINE_SECONDS, and that below "
            "AGENTFLEET_LEASE_SECONDS; else two operators could act at once",
            field="AGENTFLEET_RENEW_DEADLINE_SECONDS",
        )
    return timings


def _secret_key(text: str) -> SecretKey | None:
    if not text:
        return None
    name, slash, key = text.partition("/")
    if not (name and slash and key):
        raise InvalidInput(
            f"AGENTFLEET_WORKER_REDIS_URL_SECRET is {text!r}; write it as name/key",
            field="AGENTFLEET_WORKER_REDIS_URL_SECRET",
        )
    return SecretKey(name, key)
