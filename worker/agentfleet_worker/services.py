"""What the attempts of one worker share."""

from dataclasses import dataclass

from agentfleet_core.ports import Ledger, Queue
from agentfleet_core.settings import WorkerSettings
from agentfleet_worker.background import Background
from agentfleet_worker.calls.anthropic.sdk import Sdk
from agentfleet_worker.calls.holds import OpenHolds
from agentfleet_worker.calls.routes import Routes
from agentfleet_worker.code import Code
from agentfleet_worker.deadlines import Deadlines
from agentfleet_worker.events import Progress
from agentfleet_worker.ports import Commit, Follower


@dataclass(slots=True)
class Services:
    settings: WorkerSettings
    queue: Queue
    commit: Commit
    ledger: Ledger
    follower: Follower
    deadlines: Deadlines
    code: Code
    holds: OpenHolds
    background: Background
    progress: Progress
    routes: Routes
    sdk: Sdk
