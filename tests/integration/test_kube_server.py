"""The kube-apiserver that tests run against: shared by all processes of a run, gone with the last of them."""

import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
from tests.servers.kube import ROOT, KubeApiserver, shared_kube_apiserver

USE_IT = """
import sys
from tests.servers.kube import shared_kube_apiserver
with shared_kube_apiserver(sys.argv[1]) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""


def test_it_is_a_real_one_that_serves_our_kinds(kube: KubeApiserver, namespace: str) -> None:
    version = kube.http.get("/version").json()
    assert version["gitVersion"].startswith("v1.")
    pools = kube.http.get(f"/apis/agentfleet.dev/v1alpha1/namespaces/{namespace}/agentpools")
    assert pools.json()["items"] == []


def test_every_write_is_in_its_audit_log(kube: KubeApiserver, namespace: str) -> None:
    body = {"metadata": {"name": "counted"}, "data": {}}
    kube.http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=body).raise_for_status()
    mine = [event for event in kube.audit() if event["objectRef"].get("namespace") == namespace]
    assert [(event["verb"], event["objectRef"]["resource"]) for event in mine] == [("create", "configmaps")]


def test_nobody_gets_in_without_a_token(kube: KubeApiserver) -> None:
    assert kube.http.get("/api/v1/namespaces", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_processes_share_one_server_which_ends_with_the_last_even_when_they_are_killed() -> None:
    key = uuid.uuid4().hex[:12]
    users = [_user(key) for _ in range(2)]
    ports = {user.stdout.readline().strip() for user in users if user.stdout}
    with shared_kube_apiserver(key) as server:
        assert ports == {str(server.port)}
        for user in users:
            user.kill()
            user.communicate()
        assert server.http.get("/readyz").status_code == 200
    folder = Path(server.folder)
    end = time.monotonic() + 30
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not folder.exists()
    assert not (folder.parent / f"afkube-{key}").exists()


OWN_ONE = """
import os, signal
from tests.servers.kube import kube_apiserver
with kube_apiserver(crds=None) as server:
    print(server.folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_owner_leaves_no_server_behind() -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    owner = subprocess.run(
        [sys.executable, "-c", OWN_ONE],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    folder = owner.stdout.strip()
    assert folder
    end = time.monotonic() + 30
    while _runs_in(folder) and time.monotonic() < end:
        time.sleep(0.02)
    assert _runs_in(folder) == []
    shutil.rmtree(folder)


def _runs_in(folder: str) -> list[int]:
    """Processes whose command names the folder, or that work in it."""
    running = psutil.process_iter(["cmdline", "cwd"])
    return [
        one.pid
        for one in running
        if folder in " ".join(one.info["cmdline"] or ()) or one.info["cwd"] == folder
    ]


def _user(key: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", USE_IT, key],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
