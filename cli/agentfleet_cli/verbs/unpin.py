"""`agentfleet unpin`: take `spec.replicas` off an AgentPool, so that the planner decides again."""

import os
from importlib import import_module
from typing import Annotated, Any

import typer

from agentfleet_cli.output import Format, OutputOption, say_json, verb
from agentfleet_core.api.v1alpha1.base import GROUP, VERSION
from agentfleet_core.errors import InvalidRequest, NotFound, Unauthorized, Unavailable

Pool = Annotated[str, typer.Argument(metavar="POOL", help="the AgentPool's name, with or without pool/")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="the kubeconfig's when left out")]


@verb
def unpin(pool: Pool, namespace: Namespace = None, output: OutputOption = Format.TEXT) -> None:
    """Let the planner decide a pool's size again, after `kubectl scale` pinned it (Kubernetes only)."""
    name = pool.removeprefix("pool/")
    found = _remove_replicas(name, namespace)
    pinned = found is not None
    if output is Format.JSON:
        say_json({"pool": name, "was_pinned_at": found})
    elif pinned:
        print(f"pool/{name} is unpinned; it was held at {found}")
    else:
        print(f"pool/{name} was not pinned")


def _remove_replicas(name: str, namespace: str | None) -> int | None:
    """What the pool was pinned at, None when it was not."""
    try:
        from kubernetes import client
        from urllib3.exceptions import HTTPError
    except ImportError as error:
        raise Unavailable("unpin needs the kubernetes package: pip install 'agentfleet[operator]'") from error
    config: Any = import_module("kubernetes.config")
    file = os.environ.get("KUBECONFIG")
    try:
        config.load_kube_config(config_file=file)
    except config.ConfigException as error:
        raise Unavailable(
            f"no cluster is configured ({error}); beside `agentfleet dev`, remove spec.replicas from the file"
        ) from error
    where = namespace or _current_namespace(config, file)
    pools: Any = client.CustomObjectsApi()
    place = {"group": GROUP, "version": VERSION, "namespace": where, "plural": "agentpools", "name": name}
    try:
        before: dict[str, Any] = pools.get_namespaced_custom_object(**place)
        pinned = before.get("spec", {}).get("replicas")
        if pinned is not None:
            pools.patch_namespaced_custom_object(**place, body={"spec": {"replicas": None}})
    except client.ApiException as error:
        raise _as_ours(error, name, where) from error
    except HTTPError as error:
        raise Unavailable(f"the API server cannot be reached: {error}") from error
    return None if pinned is None else int(pinned)


def _current_namespace(config: Any, file: str | None) -> str:
    _, current = config.list_kube_config_contexts(config_file=file)
    return str(current.get("context", {}).get("namespace") or "default")


def _as_ours(error: Any, name: str, namespace: str) -> NotFound | Unauthorized | InvalidRequest | Unavailable:
    match error.status:
        case 404:
            return NotFound("AgentPool", f"{namespace}/{name}")
        case 401 | 403:
            return Unauthorized(f"the cluster refuses it: {error.reason}")
        case 400 | 409 | 422:
            return InvalidRequest(f"the cluster refuses it: {error.body}")
    return Unavailable(f"the API server cannot serve now: {error.reason or error}")
