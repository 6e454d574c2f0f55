"""Lets commands in other terminals find a local fleet, for as long as it runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from agentfleet import running
from agentfleet_cli.local.fleet import LocalFleet


@contextmanager
def announced(fleet: LocalFleet, *, unless_another: bool = False) -> Iterator[None]:
    """Commands find the newest fleet; `unless_another` leaves that to one that runs already."""
    if unless_another and running.running_fleet() is not None:
        yield
        return
    running.announce(
        running.RunningFleet(
            url=fleet.url,
            admin_key=fleet.admin_key,
            tenant_keys=dict(fleet.tenant_keys),
            pid=os.getpid(),
            simulator_url=fleet.simulator_url or "",
        )
    )
    try:
        yield
    finally:
        running.withdraw(os.getpid())
