"""Ends a worker in good order: claim nothing more, finish what runs within the grace period, hand back the
rest.

What is handed back keeps its journal, so another worker goes on from its last step. A second signal hands
back at once.
"""

import asyncio
import logging

from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_worker.attempt.outcomes import hand_back
from agentfleet_worker.claiming.loop import ClaimLoop

log = logging.getLogger(__name__)

HAND_BACK_SHARE = 0.1
"""Of the grace period, kept for handing back and for settling."""
MOST_HAND_BACK_SECONDS = 5.0


async def drain(claims: ClaimLoop, grace_seconds: float, hurry: asyncio.Event) -> None:
    """Returns when nothing is held any more, at the latest a little before the grace period ends."""
    claims.stop()
    kept = min(MOST_HAND_BACK_SECONDS, grace_seconds * HAND_BACK_SHARE)
    finished = asyncio.ensure_future(claims.wait_empty(max(0.0, grace_seconds - kept)))
    hurried = asyncio.ensure_future(hurry.wait())
    await asyncio.wait((finished, hurried), return_when=asyncio.FIRST_COMPLETED)
    for wait in (finished, hurried):
        wait.cancel()
    if claims.held:
        log.info("handing back what does not end in time", extra={"tasks": len(claims.held)})
        claims.stop_all(hand_back(AttemptReason.DRAINING))
        if not await claims.wait_empty(kept):
            log.warning("handlers do not stop; their leases will end", extra={"tasks": len(claims.held)})
