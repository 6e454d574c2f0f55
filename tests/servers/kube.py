"""A real kube-apiserver on etcd, on loopback, for tests and benches; up in a few seconds.

`kube_apiserver` runs one for a block. `shared_kube_apiserver` runs one for all processes of a test run: a
keeper process owns the servers for as long as anybody holds its lock, so that no killed test leaves one
behind. There is no controller manager unless it is asked for: Deployments are then only objects.
"""

import base64
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml
from tests.servers.build import programs

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
ADMIN = "admin"
WRITES = ("create", "update", "patch", "delete", "deletecollection")

# Becomes the program, tied to our life: SIGTERM from the kernel when we go, even by kill -9 (Linux). Not by
# preexec_fn, which warns in a process with threads, as test processes are.
TIED = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
os.execv(sys.argv[1], sys.argv[1:])
"""

CONTROLLERS = ("deployment-controller", "replicaset-controller", "garbage-collector-controller")

# SEC1 wrapping of a P-256 private key, without the optional public part: 32 random bytes are a key.
_EC_HEAD = bytes.fromhex("30310201010420")
_EC_TAIL = bytes.fromhex("a00a06082a8648ce3d030107")


class CannotStartError(Exception):
    """Carries the end of the log of the program that did not start."""


@dataclass(frozen=True)
class KubeApiserver:
    """How to reach it, as a cluster admin."""

    folder: str
    port: int
    token: str
    """Of user admin, group system:masters."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        return Path(self.folder) / "pki" / "apiserver.crt"

    @property
    def kubeconfig(self) -> Path:
        return Path(self.folder) / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        return Path(self.folder) / "audit.jsonl"

    def audit(self, *, verbs: Sequence[str] = WRITES) -> list[dict[str, Any]]:
        """The audit events of finished requests with these verbs, oldest first."""
        with self.audit_log.open("rb") as log:
            events = [json.loads(line) for line in log if line.endswith(b"\n")]
        return [event for event in events if event["verb"] in verbs]

    @cached_property
    def http(self) -> httpx.Client:
        """As the admin; for set-up and for looking, not for what is under test."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, verify=context, headers=headers, timeout=30.0, trust_env=False)

    def close(self) -> None:
        if "http" in self.__dict__:
            self.http.close()

    def create_namespace(self, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.http.post("/api/v1/namespaces", json=body).raise_for_status()

    def kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A real kubectl as the admin; built when it is nowhere yet."""
        command = [str(programs("kubectl")["kubectl"]), "--kubeconfig", str(self.kubeconfig), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)


@contextmanager
def kube_apiserver(
    *, folder: Path | None = None, controller_manager: bool = False, crds: Path | None = ROOT / "crds"
) -> Iterator[KubeApiserver]:
    """Runs while the block does, with our CRDs established.

    Raises `CannotStartError` or `CannotBuildError`.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            # Short: a socket's path has at most 107 characters.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="afkube-", dir="/tmp")))
        names = ["etcd", "kube-apiserver", *(["kube-controller-manager"] if controller_manager else [])]
        paths = programs(*names)
        server = _prepare(folder)
        stack.callback(server.close)
        stack.enter_context(_running(_etcd(paths["etcd"]), "etcd", folder))
        stack.enter_context(_running(_apiserver(paths["kube-apiserver"], server), "kube-apiserver", folder))
        _until_ready(server)
        if crds is not None:
            install_crds(server, crds)
        if controller_manager:
            command = _controller_manager(paths["kube-controller-manager"], server)
            stack.enter_context(_running(command, "kube-controller-manager", folder))
        yield server


@contextmanager
def shared_kube_apiserver(key: str) -> Iterator[KubeApiserver]:
    """The one of all processes that pass the same key; the first starts it, and it ends with the last."""
    folder = Path(tempfile.gettempdir()) / f"afkube-{key}"
    with _user_of(folder):
        server = KubeApiserver(**json.loads((folder / "server.json").read_text()))
        try:
            yield server
        finally:
            server.close()


@contextmanager
def _user_of(folder: Path) -> Iterator[None]:
    """Holds the users' lock of a folder whose server runs."""
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        with (folder / "users.lock").open("w") as users, (folder / "start.lock").open("w") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)
            if not _still_there(folder / "users.lock", users.fileno()):
                continue  # The keeper before removed the folder between our opening and our locking.
            if not (folder / "server.json").is_file():
                _start_keeper(folder)
            fcntl.flock(starting, fcntl.LOCK_UN)
            yield
            return


def _still_there(path: Path, opened: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(opened))
    return False


def _start_keeper(folder: Path) -> None:
    programs("etcd", "kube-apiserver")
    # Not by subprocess: the keeper outlives this process, and a Popen that is forgotten while it runs warns.
    with (folder / "keeper.log").open("w") as log:
        keeper = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "tests.servers.kube", str(folder)],
            dict(os.environ, PYTHONPATH=str(ROOT)),
            file_actions=[(os.POSIX_SPAWN_DUP2, log.fileno(), 1), (os.POSIX_SPAWN_DUP2, log.fileno(), 2)],
            setsid=True,
        )
    end = time.monotonic() + START_SECONDS
    while not (folder / "server.json").is_file():
        if os.waitpid(keeper, os.WNOHANG)[0] or time.monotonic() > end:
            raise CannotStartError(
                f"the shared kube-apiserver did not start:\n{_tail(folder / 'keeper.log')}"
            )
        time.sleep(0.02)


def keep(folder: Path) -> None:
    """Own the servers until nobody holds the users' lock."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    state = folder / "server.json"
    with (folder / "users.lock").open() as users, kube_apiserver() as server:
        fresh = state.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(server)))
        fresh.replace(state)
        fcntl.flock(users, fcntl.LOCK_EX)
        # Nobody can begin to use it now: who comes next finds no state and starts another.
        state.unlink()
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(folder: Path) -> KubeApiserver:
    (folder / "pki").mkdir(mode=0o700, parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = KubeApiserver(str(folder), port, secrets.token_urlsafe(24))
    key = base64.b64encode(_EC_HEAD + secrets.token_bytes(32) + _EC_TAIL).decode()
    kind = "EC PRIVATE KEY"
    (folder / "pki" / "sa.key").write_text(f"-----BEGIN {kind}-----\n{key}\n-----END {kind}-----\n")
    (folder / "tokens.csv").write_text(f'{server.token},{ADMIN},{ADMIN},"system:masters"\n')
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy"}
    rules = {"omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}
    (folder / "audit-policy.yaml").write_text(yaml.safe_dump(policy | rules))
    cluster = {"server": server.url, "certificate-authority": str(server.ca_file)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": ADMIN, "user": {"token": server.token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": ADMIN}}],
    }
    server.kubeconfig.write_text(yaml.safe_dump(config))
    server.kubeconfig.chmod(0o600)
    return server


def _etcd(program: Path) -> list[str]:
    # etcd insists on host:port and makes of unix://etcd:1 the socket ./etcd:1, so it runs inside its folder.
    client, peer = "unix://etcd:1", "unix://etcd:2"
    return [
        str(program), "--name", "test", "--data-dir", "data", "--unsafe-no-fsync", "--log-level", "warn",
        "--listen-client-urls", client, "--advertise-client-urls", client,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        "--initial-cluster", f"test={peer}",
    ]  # fmt: skip


def _apiserver(program: Path, server: KubeApiserver) -> list[str]:
    folder = Path(server.folder)
    key = f"{folder}/pki/sa.key"
    options = {
        "etcd-servers": f"unix://{folder}/etcd:1",
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": str(server.port),
        "cert-dir": f"{folder}/pki",
        "token-auth-file": f"{folder}/tokens.csv",
        "authorization-mode": "RBAC",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-signing-key-file": key,
        "service-account-key-file": key,
        "service-cluster-ip-range": "10.96.0.0/16",
        "disable-admission-plugins": "ServiceAccount",
        "audit-policy-file": f"{folder}/audit-policy.yaml",
        "audit-log-path": str(server.audit_log),
        "audit-log-mode": "blocking",
        "profiling": "false",
        "v": "1",
    }
    return [str(program), *(f"--{name}={value}" for name, value in options.items())]


def _controller_manager(program: Path, server: KubeApiserver) -> list[str]:
    config = str(server.kubeconfig)
    options = {
        "kubeconfig": config,
        "bind-address": "127.0.0.1",
        "secure-port": "0",
        "leader-elect": "false",
        "controllers": ",".join(CONTROLLERS),
        "kube-api-qps": "200",
        "kube-api-burst": "400",
    }
    return [str(program), *(f"--{name}={value}" for name, value in options.items())]


@contextmanager
def _running(command: Sequence[str], name: str, folder: Path) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", TIED, *command],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    except BaseException as error:
        if process.poll() is not None:
            error.add_note(f"{name} has ended:\n{_tail(folder / f'{name}.log')}")
        raise
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_ready(server: KubeApiserver) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError, OSError):
            if server.ca_file.is_file() and server.http.get("/readyz").status_code == 200:
                return
        time.sleep(0.03)
    raise CannotStartError(f"kube-apiserver was not ready within {START_SECONDS:g} s:\n{_tail(_log(server))}")


def _log(server: KubeApiserver) -> Path:
    return Path(server.folder) / "kube-apiserver.log"


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-15:]) if path.is_file() else ""


CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def install_crds(server: KubeApiserver, folder: Path) -> None:
    """Apply each file, and wait until its kind is served."""
    documents = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda document: _install_crd(server, document), documents))


def _install_crd(server: KubeApiserver, document: Mapping[str, Any]) -> None:
    name = document["metadata"]["name"]
    answer = server.http.patch(
        f"{CRDS}/{name}",
        params={"fieldManager": "tests", "force": "true"},
        content=json.dumps(document),
        headers={"Content-Type": "application/apply-patch+yaml"},
    )
    if answer.is_error:
        raise CannotStartError(f"the API server refuses crds/ {name}: {answer.json()['message']}")
    group, version = document["spec"]["group"], document["spec"]["versions"][0]["name"]
    plural = document["spec"]["names"]["plural"]
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        conditions = server.http.get(f"{CRDS}/{name}").json().get("status", {}).get("conditions") or []
        stands = {one["type"]: one["status"] for one in conditions}
        if stands.get("NamesAccepted") == "False" or stands.get("NonStructuralSchema") == "True":
            raise CannotStartError(f"{name}: {conditions}")
        if stands.get("Established") == "True":
            served = server.http.get(f"/apis/{group}/{version}/{plural}")
            if served.status_code == 200:
                return
        time.sleep(0.02)
    raise CannotStartError(f"{name} was not established within {START_SECONDS:g} s")


def run_key() -> str:
    """One for all processes of one test run."""
    return os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid()}-{secrets.token_hex(4)}")[:20]


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
