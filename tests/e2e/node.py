"""What stories do to the node, as no fleet may: a folder for a volume, and kill -9 from outside a container.

From inside, even root cannot: the kernel spares the first process of a container every signal that the
container's own processes send it.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.cluster import TAG, apply, kubectl

FOLDER = "/var/tmp/agentfleet-e2e"
KILL = """
killed=0
for process in /proc/[0-9]*; do
  if grep -qsE "pod$1" "$process/cgroup" && grep -qsa "$2" "$process/cmdline"; then
    kill -9 "${process#/proc/}" && killed=1
  fi
done
[ "$killed" = 1 ]
"""


class Node:
    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.name = kubectl("-n", namespace, "get", "pod/node", "-o", "jsonpath={.spec.nodeName}")

    def kill(self, pod: dict[str, Any], program: str) -> None:
        """SIGKILL to those of the pod's processes whose command line names the program; there must be one."""
        # One cgroup driver writes the uid with dashes, the other with underscores.
        self._run(KILL, pod["metadata"]["uid"].replace("-", "[-_]"), program)

    @contextmanager
    def volume(self) -> Iterator[str]:
        """A PersistentVolume that the fleet's user may write; its storage class, which is its alone."""
        name = f"e2e-{uuid.uuid4().hex[:8]}"
        self._run('mkdir "/node/$1" && chown 65532:65532 "/node/$1"', name)
        apply(
            {
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                "spec": {
                    "storageClassName": name, "capacity": {"storage": "8Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "hostPath": {"path": f"{FOLDER}/{name}"}, "persistentVolumeReclaimPolicy": "Retain",
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                        {"key": "kubernetes.io/hostname", "operator": "In", "values": [self.name]},
                    ]}]}},
                },
            }
        )  # fmt: skip
        try:
            yield name
        finally:
            kubectl("delete", "pv", name, "--wait=false")
            self._run('rm -r "/node/$1"', name)

    def _run(self, script: str, *arguments: str) -> None:
        kubectl("-n", self._namespace, "exec", "node", "--", "sh", "-euc", script, "sh", *arguments)


@contextmanager
def access() -> Iterator[Node]:
    """By a root pod that sees the node's processes, in a namespace of its own."""
    namespace = f"node-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", namespace)
    container = {
        "name": "node", "image": f"agentfleet-redis:{TAG}", "command": ["sleep", "infinity"],
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
        "volumeMounts": [{"name": "node", "mountPath": "/node"}],
    }  # fmt: skip
    folder = {"name": "node", "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"}}
    apply(
        {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "node", "namespace": namespace},
            "spec": {
                "hostPID": True, "containers": [container], "volumes": [folder],
                "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0,
            },
        }
    )  # fmt: skip
    try:
        kubectl("-n", namespace, "wait", "pod/node", "--for=condition=Ready", "--timeout=60s")
        yield Node(namespace)
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")
