"""Definitions that are older than the operator: it refuses to start, and says what to run."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from tests.integration.operator.world import World, world
from tests.servers.kube import ROOT, install_crds, kube_apiserver

from agentfleet_cli.local.redis_server import RedisServer


@pytest.fixture
async def bare(redis: RedisServer) -> AsyncIterator[World]:
    """A cluster that has no definitions of ours yet."""
    with kube_apiserver(crds=None) as server:
        async with world(server, redis.url, "default") as made:
            yield made


def older(folder: Path) -> Path:
    """Definitions as of before the pools' bulkhead and a value of the lane."""
    for source in sorted((ROOT / "crds").glob("*.yaml")):
        crd = yaml.safe_load(source.read_text())
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        if crd["spec"]["names"]["kind"] == "AgentPool":
            del schema["spec"]["properties"]["bulkhead"]
            schema["spec"]["properties"]["lane"]["enum"].remove("Batch")
        (folder / source.name).write_text(yaml.safe_dump(crd))
    return folder


async def test_old_definitions_stop_the_operator_until_they_are_upgraded(bare: World, tmp_path: Path) -> None:
    absent = bare.start_operator("without")
    assert await absent.ended() == 2, bare.logs()
    assert "the cluster has no CustomResourceDefinitions agentpools.agentfleet.dev" in absent.log.read_text()

    await asyncio.to_thread(install_crds, bare.kube, older(tmp_path))
    old = bare.start_operator("old")
    assert await old.ended() == 2, bare.logs()
    said = old.log.read_text()
    assert "older than this operator: they lack " in said
    assert "AgentPool.spec.bulkhead" in said
    assert "AgentPool.spec.lane=Batch" in said
    assert "kubectl apply --server-side --force-conflicts -k deploy/crds" in said
    assert "Traceback" not in said

    applied = await asyncio.to_thread(
        bare.kube.kubectl, "apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "deploy" / "crds")
    )
    assert applied.returncode == 0, applied.stderr
    new = bare.start_operator("new")
    await new.logged("leads with term")
