"""What each process reads from its environment, once, frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agentfleet_core.errors import InvalidInput

SECRETS_DIR = "/var/run/agentfleet/secrets"
"""Where a worker's pod has the providers' keys."""
REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


@dataclass(frozen=True, slots=True)
class FleetId:
    """A fleet is one namespace of one installation; it is the first part of every Redis key."""

    install: str = "agentfleet"
    namespace: str = "default"


@dataclass(frozen=True, slots=True)
class Settings:
    """Common to all services. AGENTFLEET_REDIS_URL (or _REDIS_URL_FILE, which holds it and goes before),
    _INSTALL, _NAMESPACE, _HOST, _PORT, _METRICS_PORT, _LOG_FORMAT.
    """

    redis_url: str = "redis://127.0.0.1:6379/0"
    fleet: FleetId = FleetId()
    host: str = "127.0.0.1"
    port: int = 8080
    metrics_port: int = 9090
    log_format: str = "text"


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """AGENTFLEET_POOL, _REVISION, _WORKER_ID, _SECRETS_DIR, _GRACE_SECONDS, _LEASE_SECONDS."""

    common: Settings
    pool: str
    revision: str
    worker_id: str
    secrets_dir: Path
    """A file `<secret>/<key>` per provider key, re-read on change."""
    grace_seconds: float = 60.0
    lease_seconds: float = 15.0


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    default = Settings()
    return Settings(
        redis_url=_redis_url(environ, default.redis_url),
        fleet=FleetId(
            environ.get("AGENTFLEET_INSTALL", default.fleet.install),
            environ.get("AGENTFLEET_NAMESPACE", default.fleet.namespace),
        ),
        host=environ.get("AGENTFLEET_HOST", default.host),
        port=_integer(environ, "AGENTFLEET_PORT", default.port),
        metrics_port=_integer(environ, "AGENTFLEET_METRICS_PORT", default.metrics_port),
        log_format=environ.get("AGENTFLEET_LOG_FORMAT", default.log_format),
    )


def read_worker_settings(environ: Mapping[str, str] = os.environ) -> WorkerSettings:
    for name in ("AGENTFLEET_POOL", "AGENTFLEET_WORKER_ID"):
        if not environ.get(name):
            raise InvalidInput(f"{name} is not set; the worker needs it", field=name)
    return WorkerSettings(
        common=read_settings(environ),
        pool=environ["AGENTFLEET_POOL"],
        revision=environ.get("AGENTFLEET_REVISION", ""),
        worker_id=environ["AGENTFLEET_WORKER_ID"],
        secrets_dir=Path(environ.get("AGENTFLEET_SECRETS_DIR", SECRETS_DIR)),
        grace_seconds=number(environ, "AGENTFLEET_GRACE_SECONDS", 60.0),
        lease_seconds=number(environ, "AGENTFLEET_LEASE_SECONDS", 15.0),
    )


def _redis_url(environ: Mapping[str, str], default: str) -> str:
    """A URL that holds a password comes as a file: an environment is shown by too many tools."""
    file = environ.get("AGENTFLEET_REDIS_URL_FILE")
    if not file:
        url = environ.get("AGENTFLEET_REDIS_URL", "")
        if not url and "KUBERNETES_SERVICE_HOST" in environ:
            raise InvalidInput(
                "neither AGENTFLEET_REDIS_URL_FILE nor AGENTFLEET_REDIS_URL is set; a pod has no default",
                field="AGENTFLEET_REDIS_URL_FILE",
            )
        return _fit(url or default, "AGENTFLEET_REDIS_URL")
    try:
        url = Path(file).read_text().strip()
    except OSError as error:
        raise InvalidInput(
            f"AGENTFLEET_REDIS_URL_FILE names {file}, which cannot be read: {error.strerror}",
            field="AGENTFLEET_REDIS_URL_FILE",
        ) from error
    if not url:
        raise InvalidInput(
            f"AGENTFLEET_REDIS_URL_FILE names {file}, which is empty", field="AGENTFLEET_REDIS_URL_FILE"
        )
    return _fit(url, "AGENTFLEET_REDIS_URL_FILE")


def _fit(url: str, name: str) -> str:
    """It is not shown: it may hold a password."""
    if not url.startswith(REDIS_SCHEMES):
        raise InvalidInput(
            f"{name} holds no URL of Redis; it must begin with {', '.join(REDIS_SCHEMES)}", field=name
        )
    return url


def _integer(environ: Mapping[str, str], name: str, default: int) -> int:
    return int(number(environ, name, default))


def number(environ: Mapping[str, str], name: str, default: float) -> float:
    """`default` also for what is set to nothing. Raises `InvalidInput`."""
    text = environ.get(name)
    if not text:
        return default
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInput(f"{name} is {text!r}; it must be a number", field=name) from error
