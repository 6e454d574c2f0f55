"""`python -m agentfleet_coordinator`: one process; run more for more. SIGTERM ends it gracefully.

Exit codes: 0 stopped as told, 1 cannot start, with the reason on stderr.
"""

import asyncio
import gc
import logging
import sys

import uvloop

from agentfleet_coordinator.server import Server
from agentfleet_coordinator.services import running_services
from agentfleet_core.errors import AgentfleetError
from agentfleet_core.settings import Settings, read_settings
from agentfleet_core.telemetry.logs import set_up_logs


def main() -> int:
    try:
        settings = read_settings()
        set_up_logs(settings.log_format)
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except AgentfleetError as error:
        sys.stderr.write(f"the coordinator cannot start: {error}\n")
        return 1
    return 0


async def serve(settings: Settings) -> None:
    # Requests make few cycles, and what the imports made need not be looked at again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    async with running_services(settings) as services:
        server = Server(services, settings.host, settings.port)
        server.stop_on_signals()
        logging.getLogger(__name__).info("serving", extra={"host": settings.host, "port": settings.port})
        await server.serve()


if __name__ == "__main__":
    sys.exit(main())
