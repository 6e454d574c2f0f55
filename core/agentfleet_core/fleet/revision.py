"""PURE. A pool's revision: which worker a task was admitted for.

Only what changes the worker's pod counts. Concurrency, limits, tenants and prices are followed while a worker
runs, so changing them replaces no pod.
"""

import hashlib
import json
from typing import Any

from agentfleet_core.api.v1alpha1 import AgentPoolSpec

LENGTH = 10
"""Hex digits: short enough for a label and a Deployment's name."""


def pool_revision(spec: AgentPoolSpec, runner: Any = None) -> str:
    """`runner`: JSON of what whoever runs the workers adds to the spec, such as the default image."""
    template = {
        "worker": spec.worker.model_dump(mode="json", by_alias=True),
        "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
    }
    if runner is not None:
        template["runner"] = runner
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]
