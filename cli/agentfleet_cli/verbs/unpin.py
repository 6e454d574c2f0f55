"""`agentfleet unpin`: take `spec.replicas` off an AgentPool, so that the planner decides again."""

import json
import shutil
import subprocess
from typing import Annotated

import typer

from agentfleet_cli.output import Format, OutputOption, say_json, verb
from agentfleet_core.api.v1alpha1.base import GROUP
from agentfleet_core.errors import AgentfleetError, InvalidRequest, NotFound, Unauthorized, Unavailable

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
    current = "jsonpath={.contexts[0].context.namespace}"
    where = namespace or "default"
    try:
        where = namespace or _kubectl("config", "view", "--minify", "-o", current) or where
        place = (f"agentpools.{GROUP}", name, "-n", where, "--request-timeout=8s")
        pinned = json.loads(_kubectl("get", *place, "-o", "json"))["spec"].get("replicas")
        if pinned is not None:
            _kubectl("patch", *place, "--type=merge", "-p", '{"spec": {"replicas": null}}')
    except _Refused as error:
        raise _as_ours(str(error), name, where) from error
    return None if pinned is None else int(pinned)


class _Refused(Exception):
    """What kubectl said."""


def _kubectl(*arguments: str) -> str:
    """Its output, by whatever way of logging in the cluster wants."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise Unavailable(
            "unpin needs kubectl on PATH; beside `agentfleet dev`, remove spec.replicas from the file"
        )
    done = subprocess.run([kubectl, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise _Refused(done.stderr.strip())
    return done.stdout


def _as_ours(said: str, name: str, namespace: str) -> AgentfleetError:
    """kubectl's exit code is 1 for everything; its words are the API server's."""
    if "(NotFound)" in said:
        return NotFound("AgentPool", f"{namespace}/{name}")
    if "(Forbidden)" in said or "(Unauthorized)" in said:
        return Unauthorized(f"the cluster refuses it: {said}")
    if "(Invalid)" in said or "(Conflict)" in said:
        return InvalidRequest(f"the cluster refuses it: {said}")
    return Unavailable(
        f"no cluster answers ({said}); beside `agentfleet dev`, remove spec.replicas from the file"
    )
