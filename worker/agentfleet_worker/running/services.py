"""What users' code is run with."""

from dataclasses import dataclass

from agentfleet_worker.attempt.deadlines import Deadlines
from agentfleet_worker.attempt.ports import Commit
from agentfleet_worker.calls.anthropic.sdk import Sdk
from agentfleet_worker.calls.routes import Routes
from agentfleet_worker.running.code import Code


@dataclass(frozen=True, slots=True)
class Services:
    deadlines: Deadlines
    code: Code
    commit: Commit
    routes: Routes
    sdk: Sdk
