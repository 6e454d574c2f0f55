"""How this process logs in to the API server: by KUBECONFIG where it is set, else as the pod's service
account, else by the user's own kubeconfig. The watches and the calls log in alike.
"""

import os
from dataclasses import replace

import kopf
import yaml

from agentfleet_core.errors import InvalidInput


def log_in() -> kopf.ConnectionInfo:
    """Reads the token anew, which the kubelet renews in its file. Raises `InvalidInput` for no cluster."""
    settings = kopf.OperatorSettings()
    account = None if os.environ.get("KUBECONFIG") else kopf.login_with_service_account(settings=settings)
    if account is not None:
        return replace(account, server=_server(account.server))
    try:
        found = kopf.login_with_kubeconfig(settings=settings)
    except (kopf.LoginError, OSError, yaml.YAMLError, KeyError, AttributeError) as error:
        raise _no_cluster(str(error) or type(error).__name__) from error
    if found is None or not found.server:
        raise _no_cluster("there is no kubeconfig" if found is None else "its cluster has no server")
    return found


def _server(default: str) -> str:
    """By its address, so that no call waits for DNS."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        return default
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _no_cluster(why: str) -> InvalidInput:
    return InvalidInput(
        f"there is no cluster to work with ({why}); set KUBECONFIG to a file with a current context, or run "
        "`agentfleet dev` for a fleet without a cluster",
        field="KUBECONFIG",
    )
