"""Keeps the current revision's Deployment as it is declared: drift is repaired, but not for ever where the
API server, or something behind it, changes it back.
"""

import logging

import orjson

from agentfleet_core.fleet.config import CompiledPool
from agentfleet_operator.apply import Writer
from agentfleet_operator.drift import first_difference
from agentfleet_operator.kube import Json
from agentfleet_operator.observe import contested
from agentfleet_operator.pools.memory import KnownPools
from agentfleet_operator.resources import deployment
from agentfleet_operator.views import DeploymentView

log = logging.getLogger(__name__)


async def mend_template(known: KnownPools, writer: Writer, pool: str, compiled: CompiledPool) -> None:
    """Where the current revision's Deployment is there but not as declared, declare it again."""
    live = known.live(pool, compiled.revision)
    if live is None:
        return
    memory, revision = known.memory(pool), known.revision(pool, compiled)
    if memory.as_declared == (revision, live.content):
        return
    body = deployment(revision, None if contested(live, known.clock()) else live.replicas)
    difference, applied = _difference(body, live), orjson.dumps(body)
    if not difference:
        memory.settled.pop(live.name, None)
        memory.as_declared = (revision, live.content)
        return
    if memory.settled.get(live.name) == (difference, applied):
        return
    log.info("a Deployment drifted and is declared again", extra={"pool": pool, "field": difference})
    await writer.apply_deployment(body)
    again = known.live(pool, compiled.revision)
    left = _difference(body, again) if again is not None else ""
    if left:
        memory.settled[live.name] = (left, applied)
        log.warning("a Deployment stays unlike its declaration", extra={"pool": pool, "field": left})


def _difference(body: Json, live: DeploymentView) -> str:
    """Where the live Deployment is not as declared; its number of replicas is not looked at."""
    metadata = body["metadata"]
    declared = {
        "labels": metadata["labels"],
        "ownerReferences": metadata["ownerReferences"],
        "spec": {key: value for key, value in body["spec"].items() if key != "replicas"},
    }
    return first_difference(declared, orjson.loads(live.content))
