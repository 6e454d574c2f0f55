"""`python -m agentfleet_operator.uninstall`: lifts our finalizers, so that AgentPools can go once no operator
runs.

Run it after the operator was stopped and before its CustomResourceDefinitions are deleted; else deleting them
waits for ever. It needs no Redis, which may be gone. Workers that still run are stopped by their own grace
period.
"""

import asyncio
import logging
import sys

from agentfleet_core.errors import AgentfleetError
from agentfleet_core.telemetry.logs import set_up_logs
from agentfleet_operator import paths
from agentfleet_operator.apply import Writer
from agentfleet_operator.kube import KubeApi
from agentfleet_operator.settings import read_namespaces
from agentfleet_operator.state import ClusterState
from agentfleet_operator.views import DRAIN_FINALIZER, resource_view

log = logging.getLogger(__name__)


async def lift_finalizers(api: KubeApi, namespaces: tuple[str, ...]) -> int:
    """How many pools were freed. Raises `Unavailable`, or `Conflict` when something still writes them."""
    writer, freed = Writer(api, ClusterState()), 0
    for namespace in namespaces or ("",):
        pools, _ = await api.listing(paths.collection("AgentPool", namespace))
        for body in pools:
            view = resource_view("AgentPool", body)
            if DRAIN_FINALIZER in view.finalizers:
                await writer.guard(view, on=False)
                freed += 1
    return freed


async def _run() -> int:
    async with KubeApi() as api:
        return await lift_finalizers(api, read_namespaces())


def main() -> int:
    set_up_logs()
    try:
        log.info("finalizers were lifted", extra={"pools": asyncio.run(_run())})
    except AgentfleetError as error:
        log.error("finalizers were not lifted: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
